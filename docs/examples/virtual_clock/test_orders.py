"""How to test what takes hours at AWS in milliseconds: a function behind a stream, on a virtual clock.

Start a server first, and let AWS tools find it:

    millstream serve --ephemeral --clock virtual &
    eval "$(millstream env)"
    pytest test_orders.py
"""

import io
import json
import uuid
import zipfile

import boto3
import pytest

from millstream_clock import clock_client

# Says in its log what it was given, and fails as often as the first order wants it to.
HANDLER = """
import base64, json

failures = 0

def handler(event, context):
    global failures
    orders = [json.loads(base64.b64decode(record["kinesis"]["data"])) for record in event["Records"]]
    print("BATCH", json.dumps([order["id"] for order in orders]))
    if failures < orders[0].get("failures", 0):
        failures += 1
        raise ValueError("the warehouse does not answer")
"""

ROLE_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
def clock():
    clock = clock_client()
    assert clock.get_clock()["Mode"] == "virtual", "start the server with --clock virtual --ephemeral"
    return clock


@pytest.fixture(scope="session")
def role():
    iam, name = boto3.client("iam"), f"orders-{uuid.uuid4().hex[:8]}"
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(ROLE_TRUST))["Role"]["Arn"]
    policy = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    return arn


class Orders:
    """A stream, a function, and a mapping between them."""

    def __init__(self, role, **mapping):
        self.name = f"orders-{uuid.uuid4().hex[:8]}"
        self.kinesis, self.functions, self.logs = (boto3.client(name) for name in ("kinesis", "lambda", "logs"))
        self.kinesis.create_stream(StreamName=self.name, ShardCount=1)
        self.kinesis.get_waiter("stream_exists").wait(StreamName=self.name, WaiterConfig={"Delay": 1})
        stream = self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]["StreamARN"]
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("orders.py", HANDLER)
        self.functions.create_function(
            FunctionName=self.name, Runtime="python3.11", Handler="orders.handler", Role=role,
            Code={"ZipFile": package.getvalue()},
        )
        self.functions.get_waiter("function_active_v2").wait(FunctionName=self.name, WaiterConfig={"Delay": 1})
        self.mapping = self.functions.create_event_source_mapping(
            FunctionName=self.name, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", **mapping
        )["UUID"]
        while self.functions.get_event_source_mapping(UUID=self.mapping)["State"] != "Enabled":
            pass

    def put(self, order, **more):
        data = json.dumps({"id": order, **more}).encode()
        self.kinesis.put_record(StreamName=self.name, PartitionKey="orders", Data=data)

    def batches(self):
        """The batches that the function was given, from its log."""
        try:
            events = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{self.name}")["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        lines = [event["message"] for event in events if event["message"].startswith("BATCH ")]
        return [json.loads(line.removeprefix("BATCH ")) for line in lines]


def test_a_batching_window_of_five_minutes(clock, role):
    orders = Orders(role, BatchSize=100, MaximumBatchingWindowInSeconds=300)
    for order in range(3):
        orders.put(order)
    clock.advance_clock(Seconds=299)
    assert orders.batches() == [], "the window is still open"
    clock.advance_clock(Seconds=1)
    assert orders.batches() == [[0, 1, 2]]


def test_a_failing_function_is_tried_again_later_and_later(clock, role):
    orders = Orders(role, BatchSize=1)
    orders.put("unlucky", failures=6)
    orders.put("next")
    drained = clock.drain()
    assert orders.batches() == [["unlucky"]]
    (waiting,) = [activity for activity in drained["Activities"] if activity["Id"] == orders.mapping]
    assert waiting["State"] == "WAITING" and waiting["Until"] > drained["Now"]
    began, drained = drained["Now"], clock.drain(AdvanceClock=True)
    assert drained["Drained"] and drained["Activities"] == [], drained
    assert orders.batches() == [["unlucky"]] * 7 + [["next"]]
    assert (drained["Now"] - began).total_seconds() > 10, "each wait is longer than the one before"


def test_what_nobody_read_within_a_day_is_gone(clock, role):
    orders = Orders(role, BatchSize=10)
    orders.functions.update_event_source_mapping(UUID=orders.mapping, Enabled=False)
    while orders.functions.get_event_source_mapping(UUID=orders.mapping)["State"] != "Disabled":
        pass
    orders.put("old")
    clock.advance_clock(Seconds=24 * 60 * 60 + 1)
    orders.put("new")
    orders.functions.update_event_source_mapping(UUID=orders.mapping, Enabled=True)
    while orders.functions.get_event_source_mapping(UUID=orders.mapping)["State"] != "Enabled":
        pass
    clock.drain()
    assert orders.batches() == [["new"]]
