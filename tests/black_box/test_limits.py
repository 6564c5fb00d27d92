"""AWS's limits, as a client without retries meets them."""

import contextlib
import time

import pytest

from millstream import Server, until
from test_fan_out import SHARD, Subscriber

MIB = 1024 * 1024
START = {"Type": "TRIM_HORIZON"}


@pytest.fixture
def limited(tmp_path):
    with Server(tmp_path, "--shard-limits", "aws", data=False) as server:
        yield server


def refusal(kinesis, call, times):
    """The error of the first of so many calls that the limit of calls refuses."""
    with pytest.raises(kinesis.exceptions.LimitExceededException) as refused:
        for _ in range(times):
            call()
    return refused.value.response["Error"]["Message"]


def test_calls_per_second(limited):
    kinesis = limited.client("kinesis")
    arn = limited.stream("s")
    on_stream = "Rate exceeded for stream s under account 123456789012."
    assert refusal(kinesis, lambda: kinesis.describe_stream(StreamName="s"), 500) == on_stream
    assert refusal(kinesis, lambda: kinesis.list_tags_for_stream(StreamARN=arn), 500) == on_stream
    assert refusal(kinesis, kinesis.list_streams, 500) == "Rate exceeded for account 123456789012."
    assert refusal(kinesis, kinesis.describe_limits, 500) == "Rate exceeded for account 123456789012."
    # Another account has its own count, and the operations that were not called are free.
    assert limited.client("kinesis", key="210987654321").list_streams()["StreamNames"] == []
    kinesis.put_record(StreamName="s", PartitionKey="k", Data=b"x")
    # An SDK that retries gets through.
    patient = limited.client("kinesis", retries={"max_attempts": 9, "mode": "standard"})
    for _ in range(3):
        patient.describe_limits()


def test_an_enhanced_consumer(limited):
    arn = limited.stream("s")
    kinesis = limited.client("kinesis")
    for _ in range(8):
        until(lambda: put(kinesis, b"x" * (MIB - 1)), what="a record within the limit")
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="app")["Consumer"]["ConsumerARN"]

    def subscribed():
        with contextlib.suppress(kinesis.exceptions.ResourceInUseException, kinesis.exceptions.LimitExceededException):
            return Subscriber(limited, consumer)

    subscriber, started = until(subscribed, what="an ACTIVE consumer"), time.monotonic()
    subscribe = lambda: kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=SHARD, StartingPosition=START)  # noqa: E731

    def too_often():
        try:
            subscribe()
        except kinesis.exceptions.LimitExceededException as error:
            return error.response["Error"]["Message"]
        except kinesis.exceptions.ResourceInUseException:
            return None  # more than a second after the first call, less than five

    text = until(too_often, what="a refused call")
    assert text == f"Rate exceeded for consumer app on shard {SHARD} in stream s under account 123456789012."
    until(lambda: len(subscriber.data()) == 8, what="all records")
    # 8 MiB at 2 MiB a second: a second's worth was there, one event came on credit, and the rest took 2.5 s.
    took = subscriber.records()[-1][0] - started
    assert took > 1.5, f"{took} s"
    assert len({record["SequenceNumber"] for _, record in subscriber.records()}) == 8


def put(kinesis, data):
    """One try, with a producer's pause after a refusal."""
    try:
        return kinesis.put_record(StreamName="s", PartitionKey="k", Data=data)
    except kinesis.exceptions.ProvisionedThroughputExceededException:
        time.sleep(0.2)
