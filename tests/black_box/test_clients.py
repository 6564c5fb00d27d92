"""The pipeline through each client: boto3, the AWS SDK for JavaScript v3 over HTTP/2, the AWS SDK for Rust."""

import os
import pathlib
import subprocess

import botocore.exceptions
import pytest

from millstream import until, zipped

FUNCTIONS = pathlib.Path(__file__).parent / "functions"
JAVASCRIPT = pathlib.Path(__file__).parent / "javascript"
RECORDS = 20


def decoded(server, function, word, region=None):
    """The records of a client whose payloads the function printed."""
    lines = regional_lines(server, function, region)
    return sorted(line.split("Decoded payload: ")[1].strip() for line in lines if f"Decoded payload: {word}" in line)


def regional_lines(server, function, region):
    if region is None:
        return server.log_lines(function)
    logs = server.client("logs", region=region)
    try:
        return [e["message"] for e in logs.filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def expect_all(server, function, word, region=None):
    wanted = sorted(f"{word} record {i}" for i in range(RECORDS))
    until(lambda: decoded(server, function, word, region) == wanted, what=f"all {word} records in {function}'s log")


def test_boto3(server):
    role = server.role()
    server.function("boto", {"decode.py": (FUNCTIONS / "decode.py").read_text()}, role, handler="decode.handler")
    arn = server.stream("boto-stream", shards=2)
    server.mapping("boto", arn, BatchSize=7)
    kinesis = server.client("kinesis")
    answer = kinesis.put_records(
        StreamName="boto-stream",
        Records=[{"PartitionKey": f"k{i}", "Data": f"boto record {i}".encode()} for i in range(RECORDS)],
    )
    assert answer["FailedRecordCount"] == 0
    expect_all(server, "boto", "boto")
    shards = kinesis.list_shards(StreamName="boto-stream")["Shards"]
    seen = []
    for shard in shards:
        iterator = kinesis.get_shard_iterator(
            StreamName="boto-stream", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        seen += kinesis.get_records(ShardIterator=iterator)["Records"]
    assert sorted(r["Data"].decode() for r in seen) == sorted(f"boto record {i}" for i in range(RECORDS))


def run_client(command, server):
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env={**os.environ, **server.environment()})
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{server.log.read_text()[-3000:]}"
    return done.stdout.strip()


def test_javascript_over_http2(server):
    role = server.role()
    package = server.folder / "function.zip"
    package.write_bytes(zipped({"index.js": (FUNCTIONS / "decode.js").read_text()}))
    run_client(["node", str(JAVASCRIPT / "pipeline.mjs"), server.endpoint, role, str(package), str(RECORDS)], server)
    expect_all(server, "js-function", "js", region="eu-central-1")


@pytest.mark.parametrize("bootstrap", ["lambda_runtime", "shell"])
def test_rust(server, bootstrap):
    role = server.role()
    if bootstrap == "shell":
        program = (FUNCTIONS / "bootstrap.sh").read_bytes()
    else:
        program = pathlib.Path(os.environ["MILLSTREAM_TEST_RUST_BOOTSTRAP"]).read_bytes()
    package = server.folder / "function.zip"
    package.write_bytes(zipped({"bootstrap": (program, 0o755)}))
    client = os.environ["MILLSTREAM_TEST_RUST_CLIENT"]
    run_client([client, server.endpoint, role, str(package), str(RECORDS)], server)
    expect_all(server, "rust-function", "rust", region="eu-west-1")


def test_errors_are_the_ones_clients_know(server):
    kinesis, functions, iam = server.client("kinesis"), server.client("lambda"), server.client("iam")
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException) as missing:
        kinesis.put_record(StreamName="none", PartitionKey="k", Data=b"x")
    assert missing.value.response["Error"]["Message"] == "Stream none under account 123456789012 not found."
    with pytest.raises(functions.exceptions.ResourceNotFoundException) as missing:
        functions.get_function(FunctionName="none")
    assert (
        missing.value.response["Error"]["Message"]
        == "Function not found: arn:aws:lambda:us-west-2:123456789012:function:none"
    )
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="none")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        functions.create_function(
            FunctionName="f", Runtime="python3.11", Handler="a.b",
            Role="arn:aws:iam::123456789012:role/none", Code={"ZipFile": zipped({"a.py": ""})},
        )
    assert refused.value.response["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "The role defined for the function cannot be assumed by Lambda.",
        **({"Type": "User"} if "Type" in refused.value.response["Error"] else {}),
    }


def test_a_role_without_stream_permissions_is_refused_with_the_recorded_text(server):
    role = server.role("no-kinesis", policies=["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"])
    server.function("blind", {"handler.py": "def handler(e, c): pass"}, role)
    arn = server.stream("unseen")
    functions = server.client("lambda")
    with pytest.raises(functions.exceptions.InvalidParameterValueException) as refused:
        functions.create_event_source_mapping(FunctionName="blind", EventSourceArn=arn, StartingPosition="LATEST")
    assert refused.value.response["Error"]["Message"] == (
        f"Cannot access stream {arn}. Please ensure the role can perform the GetRecords, GetShardIterator, "
        "DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
    )


def test_a_role_that_loses_its_permissions_stops_the_poller_until_restored(server):
    role = server.role("fickle")
    server.function("watcher", {"decode.py": (FUNCTIONS / "decode.py").read_text()}, role, handler="decode.handler")
    uuid = server.mapping("watcher", server.stream("watched"))
    kinesis, functions, iam = server.client("kinesis"), server.client("lambda"), server.client("iam")
    kinesis.put_record(StreamName="watched", PartitionKey="k", Data=b"before")
    server.wait_for_log("watcher", "Decoded payload: before")
    policy = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"
    iam.attach_role_policy(
        RoleName="fickle", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    )
    iam.detach_role_policy(RoleName="fickle", PolicyArn=policy)
    result = lambda: functions.get_event_source_mapping(UUID=uuid)["LastProcessingResult"]  # noqa: E731
    until(lambda: result().startswith("PROBLEM:"), what="a visible problem")
    kinesis.put_record(StreamName="watched", PartitionKey="k", Data=b"during")
    kinesis.put_record(StreamName="watched", PartitionKey="k", Data=b"meanwhile")
    assert "PROBLEM" in result()
    assert not any("during" in line for line in server.log_lines("watcher"))
    iam.attach_role_policy(RoleName="fickle", PolicyArn=policy)
    server.wait_for_log("watcher", "Decoded payload: meanwhile")
    assert [line for line in server.log_lines("watcher") if "Decoded" in line] == [
        "Decoded payload: before\n", "Decoded payload: during\n", "Decoded payload: meanwhile\n",
    ]
    until(lambda: result() == "OK", what="recovery is visible")
