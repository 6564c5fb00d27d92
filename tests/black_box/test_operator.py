"""What operators see and do: Millstream's own service through boto3, and `millstream mappings` and `millstream failed`."""

import base64
import datetime
import json
import pathlib
import sys

import botocore.exceptions
import pytest

from millstream import ACCOUNT, BINARY, REGION, TRUST, Server, until, zipped

REPOSITORY = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "docs/examples/virtual_clock"))

from millstream_clock import clock_client  # noqa: E402

SHARD = "shardId-000000000000"
HANDLER = """
import base64
def handler(event, context):
    data = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
    print("GOT " + " ".join(data))
    if %s and any(text.startswith("poison") for text in data):
        raise ValueError("poison in " + " ".join(data))
"""
NO_UUID = "14e0db71-5d35-4eb5-b481-8945cf9d10c2"


def own_client(server, key=ACCOUNT, secret="secret", token=None):
    return clock_client(
        endpoint_url=server.endpoint, region_name=REGION,
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
    )


def run(server, arguments, check=True, **more):
    return server.shell(f"'{BINARY}' {arguments}", check=check, AWS_REGION=REGION, **more)


def put(server, *texts, stream="s", **more):
    """Sequence numbers of the records."""
    kinesis = server.client("kinesis")
    puts = [kinesis.put_record(StreamName=stream, PartitionKey=text, Data=text.encode(), **more) for text in texts]
    return [answer["SequenceNumber"] for answer in puts]


def function(server, is_broken=True):
    server.function("f", {"handler.py": HANDLER % is_broken}, server.role())


def repair(server):
    functions = server.client("lambda")
    functions.update_function_code(FunctionName="f", ZipFile=zipped({"handler.py": HANDLER % False}))
    functions.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})


def got(server):
    """What the function was sent, event by event."""
    return [line.split()[1:] for line in server.log_lines("f") if line.startswith("GOT ")]


def got_becomes(server, expected):
    until(lambda: got(server) == expected, what=f"{expected} (the function got {got(server)})")


def stuck(server, own, uuid, failures=1):
    """The lane that waits to try again."""
    def waiting():
        (shard,) = own.describe_mapping(UUID=uuid)["Shards"]
        lane = shard["Lanes"][0] if shard["Lanes"] else {"State": ""}
        return (shard, lane) if lane["State"] == "WAITING" and lane["Failures"] >= failures else None
    return until(waiting, what="a lane that waits")


def refused(call, error):
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        call()
    assert refusal.value.response["Error"]["Code"] == error
    return refusal.value.response["Error"]["Message"]


def test_a_stuck_shard_is_visible_with_its_suspects(server):
    function(server)
    arn = server.stream("s")
    poison, *later = put(server, "poison", "a", "b")
    uuid = server.mapping("f", arn, BatchSize=1)
    own = own_client(server)
    shard, lane = stuck(server, own, uuid, failures=2)
    assert shard["ShardId"] == SHARD and shard["Phase"] == "RUNNING" and shard["LagRecords"] == 3
    assert shard["SequenceNumber"] == poison == lane["FirstSequenceNumber"] == lane["LastSequenceNumber"]
    assert lane["BlockedBy"] == "FUNCTION_ERROR" and lane["RecordCount"] == 1 and "NextRetryTime" in lane
    assert shard["LagMilliseconds"] > 0 and shard["ApproximateArrivalTimestamp"] < lane["NextRetryTime"]
    assert shard["LastBatch"]["Decision"] == "RETRY"
    newest, *_, oldest = own.list_batches(UUID=uuid)["Batches"]
    assert oldest["Attempt"] == 1 and newest["Attempt"] > 1 and newest["EndTime"] > oldest["EndTime"]
    assert newest["Outcome"] == "FUNCTION_FAILED" and newest["Setting"] == "MaximumRetryAttempts"
    assert newest["FirstSequenceNumber"] == newest["LastSequenceNumber"] == poison
    first = own.list_batches(UUID=uuid, MaxResults=1)
    second = own.list_batches(UUID=uuid, MaxResults=1, NextToken=first["NextToken"])
    assert first["Batches"][0]["Attempt"] == second["Batches"][0]["Attempt"] + 1

    told = run(server, "mappings show f").stdout
    for part in ("PROBLEM", "BLOCKED", "the function has failed", poison, "next retry", "LAST BATCHES",
                 "failed, tried again: MaximumRetryAttempts", f"mappings skip {uuid[:8]}"):
        assert part in told, told
    assert "\x1b" not in told, "no colours where no terminal is"
    shown = json.loads(run(server, f"mappings show {uuid[:8]} --json").stdout)
    assert shown["Mapping"]["UUID"] == uuid and shown["LastBatches"][0]["Outcome"] == "FUNCTION_FAILED"
    history = json.loads(run(server, "mappings history f --json --limit 2").stdout)
    assert len(history["Batches"]) == 2
    assert uuid in run(server, "mappings list").stdout
    repair(server)
    until(lambda: own.describe_mapping(UUID=uuid)["Shards"][0]["LagRecords"] == 0, 60, "all is processed")
    assert "succeeded, done" in run(server, "mappings history f").stdout


def test_pause_and_step_deliver_exactly_one_batch_each(server):
    function(server)
    uuid = server.mapping("f", server.stream("s"), BatchSize=2)
    own = own_client(server)
    assert "not paused" in refused(lambda: own.step_mapping(UUID=uuid), "ConflictException")
    assert own.pause_mapping(UUID=uuid)["Paused"]
    until(lambda: own.describe_mapping(UUID=uuid)["Shards"][0]["Phase"] == "SUSPENDED", what="the pause")
    put(server, *"abcdef")
    assert server.client("lambda").get_event_source_mapping(UUID=uuid)["State"] == "Enabled"
    own_client(server).drain()
    assert got(server) == []
    assert own.step_mapping(UUID=uuid)["ShardCount"] == 1
    got_becomes(server, [["a", "b"]])
    own.drain()
    assert "1 shard takes one step" in run(server, f"mappings step f --shard {SHARD}").stdout
    got_becomes(server, [["a", "b"], ["c", "d"]])
    own.drain()
    assert len(got(server)) == 2
    assert "paused by an operator" in run(server, "mappings show f").stdout
    assert "Enabled, paused" in run(server, "mappings list").stdout
    run(server, "mappings resume f")
    got_becomes(server, [["a", "b"], ["c", "d"], ["e", "f"]])


def test_skip_passes_over_the_poison(server):
    function(server)
    arn = server.stream("s")
    (poison, _) = put(server, "poison", "a")
    uuid = server.mapping("f", arn, BatchSize=1)
    own = own_client(server)
    stuck(server, own, uuid)
    done = run(server, "mappings skip f", check=False)
    assert done.returncode != 0 and "--yes" in done.stderr, "nobody is there to confirm it"
    assert ["a"] not in got(server)
    assert poison in run(server, f"mappings skip f --shard {SHARD} --yes").stdout
    until(lambda: ["a"] in got(server), what="the record behind")
    (failed,) = own.list_failed_batches(UUID=uuid)["FailedBatches"]
    assert failed["Condition"] == "Skipped" and failed["StartSequenceNumber"] == poison
    assert "skipped by an operator" in run(server, "mappings history f").stdout
    assert "nothing to skip" in refused(lambda: own.skip_batches(UUID=uuid), "ConflictException")


def test_rewind_redelivers_exactly_that(server):
    function(server)
    kinesis = server.client("kinesis")
    arn = server.stream("s", 2)
    put(server, "a0", "b0", "c0", ExplicitHashKey="0")
    put(server, "a1", "b1", ExplicitHashKey=str(2**127))
    uuid = server.mapping("f", arn, BatchSize=1)
    own = own_client(server)

    def delivered_since(before, expected):
        count = len(before) + len(expected)
        until(lambda: len(got(server)) >= count, what=f"{expected} after {before}, not {got(server)}")
        own.drain()
        texts = [text for event in got(server) for text in event]
        assert sorted(texts) == sorted([text for event in before for text in event] + expected)

    delivered_since([], ["a0", "b0", "c0", "a1", "b1"])
    before = got(server)
    done = run(server, "mappings rewind f --to horizon", check=False)
    assert done.returncode != 0 and "--yes" in done.stderr
    assert "rewound" in run(server, "mappings rewind f --to horizon --yes").stdout
    delivered_since(before, ["a0", "b0", "c0", "a1", "b1"])
    before = got(server)
    run(server, "mappings rewind f --to horizon --shard shardId-000000000001 --yes")
    delivered_since(before, ["a1", "b1"])
    before = got(server)

    iterator = kinesis.get_shard_iterator(StreamName="s", ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")
    records = kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    number = records[1]["SequenceNumber"]
    assert "name it with --shard" in run(server, f"mappings rewind f --to {number} --yes", check=False).stderr
    run(server, f"mappings rewind f --to {number} --shard {SHARD} --yes")
    delivered_since(before, ["b0", "c0"])
    before = got(server)

    # To the millisecond: boto3 would send whole seconds.
    moment = records[2]["ApproximateArrivalTimestamp"].astimezone(datetime.timezone.utc)
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    expected = [r["Data"].decode() for r in records if r["ApproximateArrivalTimestamp"] >= moment]
    run(server, f"mappings rewind f --to {text} --shard {SHARD} --yes")
    delivered_since(before, expected)
    before = got(server)

    own.pause_mapping(UUID=uuid)
    put(server, "never", ExplicitHashKey="0")
    assert own.rewind_mapping(UUID=uuid, Latest=True)["Rewinding"]
    until(lambda: not own.describe_mapping(UUID=uuid)["Rewinding"], what="the rewind")
    own.resume_mapping(UUID=uuid)
    put(server, "d0", ExplicitHashKey="0")
    delivered_since(before, ["d0"])


def test_failed_batches_are_listed_shown_and_sent_again(server):
    function(server)
    arn = server.stream("s")
    uuid = server.mapping("f", arn, BatchSize=1, MaximumRetryAttempts=0)
    other = server.mapping("f", server.stream("t"), BatchSize=1, MaximumRetryAttempts=0)
    own = own_client(server)
    poison, second = put(server, "poison", "poison2")
    put(server, "poison3", stream="t")
    listed = lambda: own.list_failed_batches()["FailedBatches"]  # noqa: E731
    until(lambda: len(listed()) == 3, what="three failed batches")
    assert {batch["UUID"] for batch in listed()} == {uuid, other}
    one_by_one, more = [], {}
    while not one_by_one or more:
        page = own.list_failed_batches(MaxResults=1, **more)
        one_by_one += page["FailedBatches"]
        more = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert one_by_one == listed()
    refused(lambda: own.list_failed_batches(NextToken="?"), "ValidationException")

    first, last = own.list_failed_batches(UUID=uuid)["FailedBatches"]
    assert first["StartSequenceNumber"] == poison and last["EndSequenceNumber"] == second
    assert first["Condition"] == "RetryAttemptsExhausted" and first["FunctionError"]
    assert first["ApproximateInvokeCount"] == 1 and first["Delivery"] == "NO_DESTINATION"
    identity = {"UUID": uuid, "FailedBatchId": first["FailedBatchId"]}
    assert "Records" not in own.get_failed_batch(**identity)
    shown = own.get_failed_batch(IncludeRecords=True, **identity)
    assert shown["AvailableRecordCount"] == 1 and shown["FailedBatch"] == first
    (record,) = shown["Records"]
    assert (record["Data"], record["PartitionKey"], record["SequenceNumber"]) == (b"poison", "poison", poison)

    assert uuid in run(server, "failed list").stdout
    assert first["FailedBatchId"] in run(server, f"failed list {uuid}").stdout
    told = run(server, f"failed show {uuid} {first['FailedBatchId']} --records").stdout
    assert "retries used up" in told and 'key "poison"' in told
    asked = run(server, f"failed show {uuid} {first['FailedBatchId']} --records --json").stdout
    assert base64.b64decode(json.loads(asked)["Records"][0]["Data"]) == b"poison"

    redriven = own.redrive_failed_batch(**identity)
    assert not redriven["Done"] and redriven["RecordCount"] == 1
    (event,) = redriven["Events"]
    assert event["Outcome"] == "FUNCTION_FAILED" and "poison in poison" in event["Error"]
    done = run(server, f"failed redrive {uuid} {first['FailedBatchId']}", check=False)
    assert done.returncode == 1 and "stays on the list" in done.stdout
    repair(server)
    assert "off the list" in run(server, f"failed redrive {uuid} --all").stdout
    assert own.list_failed_batches(UUID=uuid)["FailedBatches"] == []
    refused(lambda: own.redrive_failed_batch(**identity), "ResourceNotFoundException")
    (third,) = listed()
    run(server, f"failed forget {other} {third['FailedBatchId']}")
    assert listed() == []
    assert run(server, "failed list").stdout == "no failed batches\n"


def test_bad_input_gets_a_clear_error_and_changes_nothing(server):
    function(server)
    uuid = server.mapping("f", server.stream("s"))
    own = own_client(server)
    calls = ("describe_mapping", "list_batches", "pause_mapping", "resume_mapping", "step_mapping", "skip_batches",
             "list_failed_batches")
    for name in calls:
        for wrong in (NO_UUID, "nonsense"):
            refused(lambda: getattr(own, name)(UUID=wrong), "ResourceNotFoundException")
    for more in ({}, {"Latest": True, "TrimHorizon": True}, {"Latest": False}, {"SequenceNumber": "1"}):
        refused(lambda: own.rewind_mapping(UUID=uuid, **more), "ValidationException")
    refused(lambda: own.rewind_mapping(UUID=uuid, Latest=True, ShardIds=["x"]), "ValidationException")
    refused(lambda: own.rewind_mapping(UUID=uuid, Latest=True, ShardIds=["shardId-000000000009"]),
            "ResourceNotFoundException")
    refused(lambda: own.describe_mapping(UUID=uuid, NextToken="x"), "ValidationException")
    refused(lambda: own.list_batches(UUID=uuid, NextToken="x"), "ValidationException")
    refused(lambda: own.get_failed_batch(UUID=uuid, FailedBatchId="x"), "ResourceNotFoundException")
    refused(lambda: own.forget_failed_batch(UUID=uuid, FailedBatchId="../x"), "ResourceNotFoundException")
    described = own.describe_mapping(UUID=uuid)
    assert not described["Rewinding"] and not described["Paused"]
    assert "mappings list" in run(server, "mappings show nobody", check=False).stderr


def test_a_role_does_only_what_its_policy_says(server):
    function(server)
    uuid = server.mapping("f", server.stream("s"))
    iam = server.client("iam")
    trust = json.loads(TRUST)
    trust["Statement"][0]["Principal"] = {"AWS": ACCOUNT}
    iam.create_role(RoleName="operator", AssumeRolePolicyDocument=json.dumps(trust))
    assumed = server.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/operator", RoleSessionName="test"
    )["Credentials"]
    own = own_client(server, assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"])
    resource = f"arn:aws:millstream:{REGION}:{ACCOUNT}:event-source-mapping:{uuid}"
    text = refused(lambda: own.describe_mapping(UUID=uuid), "AccessDeniedException")
    assert f"millstream:DescribeMapping on resource: {resource}" in text
    allowed = {"Effect": "Allow", "Action": ["millstream:Describe*", "millstream:ListFailedBatches"],
               "Resource": resource}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    iam.put_role_policy(RoleName="operator", PolicyName="p", PolicyDocument=json.dumps(policy))
    assert own.describe_mapping(UUID=uuid)["UUID"] == uuid
    assert own.describe_mapping(UUID=uuid.upper())["UUID"] == uuid
    assert own.list_failed_batches(UUID=uuid)["FailedBatches"] == []
    refused(lambda: own.list_failed_batches(), "AccessDeniedException")
    refused(lambda: own.describe_mapping(UUID=NO_UUID), "AccessDeniedException")
    refused(lambda: own.pause_mapping(UUID=uuid), "AccessDeniedException")
    refused(lambda: own.rewind_mapping(UUID=uuid, Latest=True), "AccessDeniedException")
    refused(lambda: own.redrive_failed_batch(UUID=uuid, FailedBatchId="x"), "AccessDeniedException")
    assert not own_client(server).describe_mapping(UUID=uuid)["Paused"]


def test_mappings_and_functions_have_tags(server):
    function(server)
    stream = server.stream("s")
    functions = server.client("lambda")
    created = functions.create_event_source_mapping(
        FunctionName="f", EventSourceArn=stream, StartingPosition="LATEST", Tags={"team": "orders"}
    )
    arn = created["EventSourceMappingArn"]
    of_function = functions.get_function(FunctionName="f")["Configuration"]["FunctionArn"]
    assert functions.list_tags(Resource=arn)["Tags"] == {"team": "orders"}
    for resource in (arn, of_function):
        # Terraform's order: what has gone is taken off, then everything new is put on, and all is read back.
        functions.tag_resource(Resource=resource, Tags={"team": "orders", "stage": "größe"})
        functions.untag_resource(Resource=resource, TagKeys=["team", "unknown"])
        functions.tag_resource(Resource=resource, Tags={"stage": "prod", "cost": ""})
        assert functions.list_tags(Resource=resource)["Tags"] == {"stage": "prod", "cost": ""}
        text = refused(lambda: functions.tag_resource(Resource=resource, Tags={}), "InvalidParameterValueException")
        assert text == "An error occurred and the request cannot be processed."
        many = {str(number): "" for number in range(49)}
        text = refused(lambda: functions.tag_resource(Resource=resource, Tags=many), "InvalidParameterValueException")
        assert text == "Number of tags exceeds resource tag limit."
        assert len(functions.list_tags(Resource=resource)["Tags"]) == 2
    missing = f"{arn[:-36]}{NO_UUID}"
    for call in (
        lambda: functions.list_tags(Resource=missing),
        lambda: functions.tag_resource(Resource=missing, Tags={"a": "b"}),
        lambda: functions.untag_resource(Resource=missing, TagKeys=["a"]),
    ):
        assert refused(call, "ResourceNotFoundException") == f"Event source mapping not found: {missing}"
    text = refused(lambda: functions.list_tags(Resource=f"{of_function}:1"), "InvalidParameterValueException")
    assert text.startswith("Tags on function aliases and versions are not supported.")
    refused(lambda: functions.list_tags(Resource=f"{of_function}x"), "ResourceNotFoundException")


def test_a_crash_keeps_pause_and_failed_batches(tmp_path):
    with Server(tmp_path) as server:
        function(server)
        uuid = server.mapping("f", server.stream("s"), BatchSize=1, MaximumRetryAttempts=0)
        own = own_client(server)
        put(server, "poison")
        until(lambda: own.list_failed_batches(UUID=uuid)["FailedBatches"], what="a failed batch")
        failed = own.list_failed_batches(UUID=uuid)["FailedBatches"]
        own.pause_mapping(UUID=uuid)
        server.kill()
        server.start()
        assert own.describe_mapping(UUID=uuid)["Paused"]
        assert own.list_failed_batches(UUID=uuid)["FailedBatches"] == failed
        until(lambda: own.describe_mapping(UUID=uuid)["Shards"][0]["Phase"] == "SUSPENDED", what="the pause")
        put(server, "a")
        own.drain()
        assert ["a"] not in got(server)
        own.resume_mapping(UUID=uuid)
        until(lambda: ["a"] in got(server), what="the record after the pause")
