"""Millstream's own service through boto3 and the command line; the virtual clock; the examples of docs/testing.md."""

import datetime
import json
import os
import pathlib
import subprocess
import sys

import botocore.exceptions
import pytest

from millstream import ACCOUNT, BINARY, REGION, TRUST, Server

REPOSITORY = pathlib.Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "docs/examples/virtual_clock"
sys.path.insert(0, str(EXAMPLES))

from millstream_clock import clock_client  # noqa: E402


def own_client(server, key=ACCOUNT, secret="secret", token=None):
    return clock_client(
        endpoint_url=server.endpoint, region_name=REGION,
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
    )


@pytest.fixture
def virtual(tmp_path):
    with Server(tmp_path, "--clock", "virtual", data=False) as server:
        yield server


def test_the_examples_of_the_documentation_run_as_they_are(virtual, tmp_path):
    environment = {
        "AWS_ENDPOINT_URL": virtual.endpoint, "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "PATH": os.environ["PATH"], "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=0", str(EXAMPLES)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_day_passes_when_it_is_told_to(virtual):
    clock, kinesis = own_client(virtual), virtual.client("kinesis")
    virtual.stream("s")
    shard = {"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    kinesis.put_record(StreamName="s", PartitionKey="1", Data=b"x")
    old_iterator = kinesis.get_shard_iterator(**shard)["ShardIterator"]
    before = clock.get_clock()
    assert before["Mode"] == "virtual"
    advanced = clock.advance_clock(Seconds=86400)
    assert advanced["Reached"] and advanced["Now"] - before["Now"] == datetime.timedelta(days=1)
    with pytest.raises(kinesis.exceptions.ExpiredIteratorException):
        kinesis.get_records(ShardIterator=old_iterator)
    iterator = kinesis.get_shard_iterator(**shard)["ShardIterator"]
    assert len(kinesis.get_records(ShardIterator=iterator)["Records"]) == 1, "the last millisecond of its day"
    advanced = clock.advance_clock(Milliseconds=1)
    iterator = kinesis.get_shard_iterator(**shard)["ShardIterator"]
    assert kinesis.get_records(ShardIterator=iterator)["Records"] == [], "a day is the retention"
    # boto3 sends moments in whole seconds.
    until = advanced["Now"].replace(microsecond=0) + datetime.timedelta(seconds=2)
    assert clock.advance_clock(Until=until)["Now"] == until
    assert clock.get_clock()["Now"] == until, "it stands still"


def test_bad_input_moves_nothing(virtual):
    clock = own_client(virtual)
    now = clock.get_clock()["Now"]
    for input in (
        {}, {"Seconds": 1, "Milliseconds": 1}, {"Until": now - datetime.timedelta(seconds=1)},
        {"Until": now + datetime.timedelta(days=367)},
    ):
        with pytest.raises(clock.exceptions.ValidationException):
            clock.advance_clock(**input)
    with pytest.raises(clock.exceptions.ValidationException):
        clock.drain(MaximumAdvanceSeconds=5)
    # What boto3 itself does not let through.
    done = virtual.shell(f"'{BINARY}' clock advance 400d", check=False)
    assert done.returncode != 0 and "31622400000" in done.stderr
    assert clock.get_clock()["Now"] == now


def test_a_real_clock_says_what_to_do(tmp_path):
    with Server(tmp_path, data=False) as server:
        clock = own_client(server)
        assert clock.get_clock()["Mode"] == "real"
        for call in (lambda: clock.advance_clock(Seconds=1), lambda: clock.drain(AdvanceClock=True)):
            with pytest.raises(clock.exceptions.ClockIsRealException, match="--clock virtual --ephemeral"):
                call()
        assert clock.drain()["Drained"]


def test_a_virtual_clock_needs_a_server_that_keeps_nothing(tmp_path):
    done = subprocess.run([BINARY, "serve", "--clock", "virtual"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "--clock virtual needs --ephemeral" in done.stderr
    (tmp_path / "m.toml").write_text('clock = "virtual"\nephemeral = true\nclock-start = "2030-01-01T00:00:00Z"\n')
    with Server(tmp_path, "--config", str(tmp_path / "m.toml"), data=False) as server:
        assert own_client(server).get_clock()["Now"].year == 2030


def test_a_drain_names_who_is_still_at_work(virtual):
    handler = "import time\ndef handler(event, context):\n    time.sleep(3)\n"
    virtual.function("slow", {"handler.py": handler}, virtual.role(), Timeout=10)
    mapping = virtual.mapping("slow", virtual.stream("s"))
    clock = own_client(virtual)
    virtual.client("kinesis").put_record(StreamName="s", PartitionKey="1", Data=b"x")
    drained = clock.drain(TimeoutSeconds=1)
    assert not drained["Drained"]
    (activity,) = drained["Activities"]
    assert activity == {
        "Type": "EVENT_SOURCE_MAPPING", "Id": mapping, "ShardId": "shardId-000000000000", "State": "BUSY",
        "Reason": "invoking",
    }
    assert clock.drain()["Drained"]


def test_asynchronous_retries_come_when_the_clock_says_so(virtual):
    handler = "def handler(event, context):\n    print('TRIED')\n    raise ValueError\n"
    virtual.function("fails", {"handler.py": handler}, virtual.role())
    clock = own_client(virtual)
    virtual.client("lambda").invoke(FunctionName="fails", InvocationType="Event", Payload=b"{}")
    tried = lambda: virtual.log_lines("fails").count("TRIED\n")  # noqa: E731
    drained = clock.drain()
    assert drained["Drained"] and drained["Activities"][0]["State"] == "WAITING", drained
    assert tried() == 1
    clock.advance_clock(Seconds=59)
    assert tried() == 1, "AWS waits a minute before the first retry"
    clock.advance_clock(Seconds=1)
    assert tried() == 2
    assert clock.drain(AdvanceClock=True)["Activities"] == []
    assert tried() == 3


def test_functions_and_roles_move_the_clock_only_where_a_policy_lets_them(virtual):
    iam, sts = virtual.client("iam"), virtual.client("sts")
    trust = json.loads(TRUST)
    trust["Statement"][0]["Principal"] = {"AWS": ACCOUNT}
    iam.create_role(RoleName="tester", AssumeRolePolicyDocument=json.dumps(trust))
    session = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/tester", RoleSessionName="test")["Credentials"]
    clock = own_client(virtual, session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    resource = f"arn:aws:millstream:{REGION}:{ACCOUNT}:clock"

    def denied(call, action):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
        assert f"millstream:{action} on resource: {resource}" in refused.value.response["Error"]["Message"]

    denied(clock.get_clock, "GetClock")
    allowed = {"Effect": "Allow", "Action": ["millstream:GetClock", "millstream:Drain"], "Resource": resource}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    iam.put_role_policy(RoleName="tester", PolicyName="p", PolicyDocument=json.dumps(policy))
    clock.get_clock()
    assert clock.drain()["Drained"]
    denied(lambda: clock.advance_clock(Seconds=1), "AdvanceClock")
    denied(lambda: clock.drain(AdvanceClock=True), "AdvanceClock")


def test_the_command_line_shows_and_moves_the_clock(virtual):
    def run(arguments, check=True):
        return virtual.shell(f"'{BINARY}' clock {arguments}", check=check)

    before = json.loads(run("show --json").stdout)
    assert "(virtual)" in run("show").stdout
    advanced = json.loads(run("advance 1h30m --json").stdout)
    assert advanced["Reached"] and round(advanced["Now"] - before["Now"], 3) == 5400
    assert "timers fired: " in run("advance 250ms").stdout
    assert json.loads(run("drain --json").stdout)["Drained"] is True
    assert json.loads(run("drain --advance --max 6h --json").stdout)["Drained"] is True
    assert run("advance", check=False).returncode != 0
    assert "only moves forward" in run("advance --until 2001-01-01T00:00:00Z", check=False).stderr


def test_aws_tools_find_the_service_by_their_data_path(virtual):
    models = {"AWS_DATA_PATH": str(REPOSITORY / "xtask/codegen")}
    shown = json.loads(virtual.shell("aws millstream get-clock", **models).stdout)
    assert shown["Mode"] == "virtual"
    moved = json.loads(virtual.shell("aws millstream advance-clock --seconds 5", **models).stdout)
    assert moved["Reached"] is True
    program = "import boto3; print(boto3.client('millstream').get_clock()['Mode'])"
    assert virtual.shell(f'python -c "{program}"', **models).stdout == "virtual\n"


def test_clients_waiters_need_nobody_to_move_the_clock(virtual):
    kinesis = virtual.client("kinesis")
    arn = virtual.stream("s", 2)
    kinesis.update_shard_count(StreamName="s", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    kinesis.get_waiter("stream_exists").wait(StreamName="s", WaiterConfig={"Delay": 1})
    kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")
    kinesis.put_records(StreamName="s", Records=[{"Data": b"x", "PartitionKey": str(i)} for i in range(100)])
    virtual.function("f", {"handler.py": "def handler(event, context):\n    return 1\n"}, virtual.role())
    uuid = virtual.mapping("f", arn)
    virtual.client("lambda").delete_event_source_mapping(UUID=uuid)
    kinesis.delete_stream(StreamName="s", EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName="s", WaiterConfig={"Delay": 1})
