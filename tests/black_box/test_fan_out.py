"""Enhanced fan-out through each client: boto3 over HTTP/1.1, JavaScript over HTTP/2 with prior knowledge, Rust."""

import os
import pathlib
import statistics
import subprocess
import threading
import time

import botocore.exceptions
import pytest

from millstream import REGION, Server, until

JAVASCRIPT = pathlib.Path(__file__).parent / "javascript"
SHARD = "shardId-000000000000"


def registered(server, stream_arn, name="app"):
    """The ARN of a new consumer that is ACTIVE."""
    kinesis = server.client("kinesis")
    arn = kinesis.register_stream_consumer(StreamARN=stream_arn, ConsumerName=name)["Consumer"]["ConsumerARN"]
    describe = lambda: kinesis.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]  # noqa: E731
    until(lambda: describe()["ConsumerStatus"] == "ACTIVE", what=f"consumer {name} ACTIVE")
    return arn


class Subscriber:
    """A subscription whose events are read by a thread; each event with the moment it came."""

    def __init__(self, server, consumer_arn, **position):
        position = position or {"Type": "TRIM_HORIZON"}
        # A client of its own: its connection is busy as long as the subscription lives.
        self.stream = server.client("kinesis").subscribe_to_shard(
            ConsumerARN=consumer_arn, ShardId=SHARD, StartingPosition=position
        )["EventStream"]
        self.events = []
        self.error = None
        self.ended = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for event in self.stream:
                self.events.append((time.monotonic(), event["SubscribeToShardEvent"]))
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            self.error = error
        self.ended.set()

    def records(self):
        return [(moment, record) for moment, event in self.events for record in event["Records"]]

    def data(self):
        return [record["Data"].decode() for _, record in self.records()]

    def continuation(self):
        return self.events[-1][1]["ContinuationSequenceNumber"]


def put(kinesis, stream, text):
    return kinesis.put_record(StreamName=stream, PartitionKey="k", Data=text.encode())["SequenceNumber"]


def test_records_are_pushed_within_milliseconds(server):
    kinesis = server.client("kinesis")
    subscriber = Subscriber(server, registered(server, server.stream("fast")))
    delays = []
    for i in range(50):
        number = put(kinesis, "fast", f"record {i}")
        stored = time.monotonic()
        until(lambda: len(subscriber.records()) == i + 1, what=f"record {i}")
        moment, record = subscriber.records()[-1]
        delays.append(moment - stored)
        assert (record["Data"], record["SequenceNumber"]) == (f"record {i}".encode(), number)
        assert subscriber.continuation() == number
        assert "EncryptionType" not in record
    assert statistics.median(delays) < 0.05, delays
    assert all(event["MillisBehindLatest"] == 0 for _, event in subscriber.events)


def test_many_records_arrive_in_order_for_every_consumer(server):
    arn = server.stream("wide")
    subscribers = [Subscriber(server, registered(server, arn, f"app-{i}")) for i in range(5)]
    kinesis = server.client("kinesis")
    for call in range(20):
        records = [{"PartitionKey": "k", "Data": f"{call:02}/{i:03}".encode() * 100} for i in range(200)]
        assert kinesis.put_records(StreamName="wide", Records=records)["FailedRecordCount"] == 0
    wanted = [f"{call:02}/{i:03}" * 100 for call in range(20) for i in range(200)]
    for subscriber in subscribers:
        until(lambda: len(subscriber.records()) >= len(wanted), what="all records")
        assert subscriber.data() == wanted


def test_reading_goes_on_after_the_continuation_number(server):
    kinesis = server.client("kinesis")
    consumer = registered(server, server.stream("on"))
    first = Subscriber(server, consumer)
    put(kinesis, "on", "one")
    until(lambda: first.data() == ["one"], what="the first record")
    # The next event has no records: an idle one, after five seconds. Its number leads on all the same.
    until(lambda: len(first.events) == 2, seconds=8, what="an idle event")
    assert first.events[1][1]["Records"] == []
    number = first.continuation()
    first.stream.close()
    put(kinesis, "on", "two")
    second = Subscriber(server, consumer, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=number)
    put(kinesis, "on", "three")
    until(lambda: second.data() == ["two", "three"], what="what came after")


def test_a_second_subscription_takes_over(server):
    kinesis = server.client("kinesis")
    consumer = registered(server, server.stream("taken"))
    first = Subscriber(server, consumer)
    began = time.monotonic()
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        Subscriber(server, consumer)
    text = f"Another active subscription exists for this consumer: 123456789012:taken:{SHARD}:app"
    assert refused.value.response["Error"] == {"Code": "ResourceInUseException", "Message": text}
    time.sleep(max(0, began + 5.1 - time.monotonic()))
    second = Subscriber(server, consumer)
    assert first.ended.wait(5)
    assert isinstance(first.error, botocore.exceptions.EventStreamError), first.error
    assert first.error.response["Error"] == {"Code": "ResourceInUseException", "Message": text}
    put(kinesis, "taken", "for the second")
    until(lambda: second.data() == ["for the second"], what="the record")
    assert first.data() == []


def test_deregistering_and_deleting_end_subscriptions(server):
    kinesis = server.client("kinesis")
    arn = server.stream("ending")
    [one, two] = [registered(server, arn, "one"), registered(server, arn, "two")]
    [first, second] = [Subscriber(server, one), Subscriber(server, two)]
    kinesis.deregister_stream_consumer(ConsumerARN=one)
    assert first.ended.wait(5)
    assert first.error.response["Error"]["Code"] == "ResourceNotFoundException"
    assert not second.ended.is_set()
    until(lambda: len(kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]) == 1, what="one consumer left")
    with pytest.raises(kinesis.exceptions.ResourceInUseException) as refused:
        kinesis.delete_stream(StreamName="ending")
    assert "DeleteStream can’t delete 123456789012:ending" in refused.value.response["Error"]["Message"]
    kinesis.delete_stream(StreamName="ending", EnforceConsumerDeletion=True)
    assert second.ended.wait(5)
    assert second.error.response["Error"]["Code"] == "ResourceNotFoundException"


def test_a_stop_ends_subscriptions_and_consumers_survive_it(tmp_path):
    with Server(tmp_path) as server:
        arn = server.stream("kept")
        subscriber = Subscriber(server, registered(server, arn))
        put(server.client("kinesis"), "kept", "before")
        until(lambda: subscriber.data() == ["before"], what="the record")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5, "the stop waits for no subscription"
        assert subscriber.ended.wait(5)
        assert subscriber.error is None, "a clean end"
        server.start()
        kinesis = server.client("kinesis")
        assert kinesis.describe_stream_summary(StreamName="kept")["StreamDescriptionSummary"]["ConsumerCount"] == 1
        consumer = kinesis.list_stream_consumers(StreamARN=arn)["Consumers"][0]["ConsumerARN"]
        position = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": subscriber.continuation()}
        after = Subscriber(server, consumer, **position)
        put(kinesis, "kept", "after")
        until(lambda: after.data() == ["after"], what="the record after the restart")


def run_client(command, server):
    environment = {**os.environ, **server.environment()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{server.log.read_text()[-3000:]}"
    return done.stdout.splitlines()


def test_javascript_over_http2(server):
    arn = server.stream("js")
    lines = run_client(["node", str(JAVASCRIPT / "fan_out.mjs"), server.endpoint, REGION, arn, "30"], server)
    assert lines == [
        "received 30 records in order",
        "went on after the continuation number",
        "the first subscription ended with ResourceInUseException",
    ]


def test_rust(server):
    arn = server.stream("rust")
    client = os.environ["MILLSTREAM_TEST_RUST_FAN_OUT"]
    assert run_client([client, server.endpoint, REGION, arn, "30"], server) == ["received 30 records in order"]
