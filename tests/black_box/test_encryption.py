"""Server-side encryption through boto3 and the AWS CLI: what users see, and what lies on the disk."""

import json
import shutil
import urllib.request

import botocore.exceptions
import pytest

from collector import collector
from millstream import Server, until

KEY = "alias/aws/kinesis"
OTHER = "12345678-1234-1234-1234-1234567890ab"
HANDLER = '''
import base64, json, os, urllib.request

def handler(event, context):
    data = lambda kinesis: base64.b64decode(kinesis["data"]).decode() + " " + kinesis.get("encryptionType", "plain")
    texts = [data(record["kinesis"]) for record in event["Records"]]
    report = json.dumps(["seen", texts]).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], report, method="POST"), timeout=5).close()
'''


def described(kinesis, name):
    """Status, type and key, the same in both answers."""
    full = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    names = ("StreamStatus", "EncryptionType", "KeyId")
    found = [tuple(answer.get(member) for member in names) for answer in (full, summary)]
    assert found[0][1:] == found[1][1:]
    return found[1]


def wait_active(kinesis, name):
    until(lambda: described(kinesis, name)[0] == "ACTIVE", what=f"{name} ACTIVE")


def records(kinesis, name):
    """Data and type of every record of the only shard."""
    iterator = kinesis.get_shard_iterator(StreamName=name, ShardId="0", ShardIteratorType="TRIM_HORIZON")
    page = kinesis.get_records(ShardIterator=iterator["ShardIterator"])
    return [(record["Data"].decode(), record.get("EncryptionType")) for record in page["Records"]]


def put(kinesis, name, text):
    return kinesis.put_record(StreamName=name, PartitionKey="k", Data=text.encode()).get("EncryptionType")


def is_on_disk(server, text):
    files = [path for path in (server.folder / "data").rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in files)
    return any(text.encode() in path.read_bytes() for path in files)


def test_records_are_encrypted_from_start_to_stop_and_over_restarts(tmp_path):
    server = Server(tmp_path).start()
    kinesis = server.client("kinesis")
    server.stream("s")
    assert described(kinesis, "s") == ("ACTIVE", "NONE", None)
    assert put(kinesis, "s", "readable by everybody") is None
    assert not (server.folder / "data" / "keys").exists(), "keys are made when they are needed"
    kinesis.start_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId=KEY)
    assert put(kinesis, "s", "hidden from the disk") == "KMS", "at once"
    wait_active(kinesis, "s")
    assert described(kinesis, "s") == ("ACTIVE", "KMS", KEY)
    many = kinesis.put_records(StreamName="s", Records=[{"PartitionKey": "k", "Data": b"hidden too"}] * 3)
    assert (many["EncryptionType"], many["FailedRecordCount"]) == ("KMS", 0)
    expected = [("readable by everybody", None), ("hidden from the disk", "KMS"), *[("hidden too", "KMS")] * 3]
    assert records(kinesis, "s") == expected
    server.kill()
    assert is_on_disk(server, "readable by everybody") and not is_on_disk(server, "hidden")
    (key,) = (server.folder / "data" / "keys").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600

    server.start()
    kinesis = server.client("kinesis")
    assert records(kinesis, "s") == expected
    # The same key by its ARN is the present one; another one is not.
    arn = f"arn:aws:kms:us-west-2:123456789012:{KEY}"
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="is encrypted with KeyId"):
        kinesis.stop_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId=OTHER)
    kinesis.stop_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId=arn)
    wait_active(kinesis, "s")
    assert described(kinesis, "s") == ("ACTIVE", "NONE", None)
    assert put(kinesis, "s", "open again") is None
    kinesis.start_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId=OTHER)
    wait_active(kinesis, "s")
    assert put(kinesis, "s", "with another key") == "KMS"
    server.stop()
    server.start()
    everything = [*expected, ("open again", None), ("with another key", "KMS")]
    assert records(server.client("kinesis"), "s") == everything
    server.stop()


def test_a_data_folder_without_its_keys_tells_nothing(tmp_path):
    server = Server(tmp_path).start()
    kinesis = server.client("kinesis")
    server.stream("s")
    server.stream("plain")
    kinesis.start_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId=KEY)
    wait_active(kinesis, "s")
    put(kinesis, "s", "secret")
    put(kinesis, "plain", "open")
    server.stop()
    shutil.move(server.folder / "data" / "keys", server.folder / "keys-elsewhere")
    server.start()
    kinesis = server.client("kinesis")
    for refused in (lambda: put(kinesis, "s", "more"), lambda: records(kinesis, "s")):
        with pytest.raises(kinesis.exceptions.KMSNotFoundException, match="master key that is not there"):
            refused()
    assert put(kinesis, "plain", "open") is None and records(kinesis, "plain") == [("open", None)] * 2
    health = urllib.request.urlopen(f"{server.endpoint}/health/ready", timeout=5).read().decode()
    assert "master key" in health
    server.stop()
    shutil.move(server.folder / "keys-elsewhere", server.folder / "data" / "keys")
    server.start()
    assert records(server.client("kinesis"), "s") == [("secret", "KMS")]
    server.stop()


def test_bad_keys_are_refused(server):
    kinesis = server.client("kinesis")
    server.stream("s")
    start = dict(StreamName="s", EncryptionType="KMS")
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="KeyId nonsense is not valid"):
        kinesis.start_stream_encryption(**start, KeyId="nonsense")
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="only valid value is KMS"):
        kinesis.start_stream_encryption(StreamName="s", EncryptionType="NONE", KeyId=KEY)
    with pytest.raises(kinesis.exceptions.KMSNotFoundException):
        kinesis.start_stream_encryption(**start, KeyId="arn:aws:kms:eu-west-1:123456789012:alias/a")
    with pytest.raises(kinesis.exceptions.KMSAccessDeniedException):
        kinesis.start_stream_encryption(**start, KeyId="arn:aws:kms:us-west-2:210987654321:alias/a")
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.start_stream_encryption(StreamName="none", EncryptionType="KMS", KeyId=KEY)
    with pytest.raises(botocore.exceptions.ClientError, match="at 'encryptionType' failed to satisfy constraint"):
        kinesis.start_stream_encryption(StreamName="s", EncryptionType="AES", KeyId=KEY)
    assert described(kinesis, "s") == ("ACTIVE", "NONE", None)


def test_the_cli_encrypts_and_a_function_reads(server):
    with collector() as (url, reports):
        environment = {"Variables": {"COLLECTOR": url}}
        server.function("f", {"handler.py": HANDLER}, server.role(), Environment=environment)
        server.mapping("f", server.stream("s"))
        kinesis = server.client("kinesis")
        key = f"--stream-name s --encryption-type KMS --key-id {KEY}"
        server.shell(f"aws kinesis start-stream-encryption {key}")
        server.shell("aws kinesis wait stream-exists --stream-name s")
        wait_active(kinesis, "s")
        shown = json.loads(server.shell("aws kinesis describe-stream --stream-name s").stdout)["StreamDescription"]
        assert (shown["EncryptionType"], shown["KeyId"]) == ("KMS", KEY)
        stored = server.shell("aws kinesis put-record --stream-name s --partition-key k --data secret").stdout
        assert json.loads(stored)["EncryptionType"] == "KMS"
        until(lambda: ["seen", ["secret KMS"]] in [list(report) for report in list(reports)], what="the function sees it")
        assert records(kinesis, "s") == [("secret", "KMS")]
        server.shell(f"aws kinesis stop-stream-encryption {key}")
        wait_active(kinesis, "s")
        assert "KeyId" not in kinesis.describe_stream(StreamName="s")["StreamDescription"]
