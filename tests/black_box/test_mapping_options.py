"""What each option of a mapping does to what a function receives."""

import base64
import collections
import datetime
import json
import threading

import pytest
from aws_kinesis_agg.aggregator import RecordAggregator

from mappings import LANGUAGES, Fail, Queue, describe, put, relay
from millstream import until
from test_fan_out import registered

START = datetime.datetime(2026, 1, 31, 8, tzinfo=datetime.UTC)
REPORTING = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}


def failing(*poison):
    """Raises where one of these numbers is in the batch."""
    def decide(invocation):
        if set(invocation.numbers) & set(poison):
            raise Fail(f"{poison} in {invocation.numbers}")

    return decide


def numbers_of(director, function="f"):
    return [invocation.numbers for invocation in director.of(function)]


def test_a_batching_window_gathers_and_a_full_batch_does_not_wait(frozen, director):
    relay(frozen, director, role=frozen.role())
    frozen.mapping("f", frozen.stream("s"), BatchSize=10, MaximumBatchingWindowInSeconds=300)
    put(frozen, "s", [0])
    frozen.clock.advance_clock(Seconds=200)
    put(frozen, "s", [1])
    frozen.clock.advance_clock(Seconds=99)
    assert numbers_of(director) == [], "the window is not over"
    frozen.clock.advance_clock(Seconds=2)
    assert numbers_of(director) == [[0, 1]]
    frozen.clock.advance_clock(Seconds=250)
    put(frozen, "s", range(10, 25))
    frozen.clock.drain()
    assert numbers_of(director)[1:] == [list(range(10, 20))], "a full batch goes at once, the rest waits"
    # The next window began when that invocation ended.
    frozen.clock.advance_clock(Seconds=298)
    assert len(director.of("f")) == 2
    frozen.clock.advance_clock(Seconds=3)
    assert numbers_of(director)[2:] == [list(range(20, 25))]


class Gate:
    """Holds invocations until told to let them go; knows how many are in flight."""

    def __init__(self):
        self.lock, self.opened = threading.Lock(), threading.Event()
        self.inside = self.most = 0

    def __call__(self, invocation):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.opened.wait(60)
        with self.lock:
            self.inside -= 1


def key_of(text):
    return text.split(":")[0]


def lanes_records(keys, rounds):
    return [f"{key}:{number}" for number in range(rounds) for key in keys]


def check_keys(invocations, keys, rounds):
    """Each key's records were delivered once and in order, and no two at the same time."""
    of_key = collections.defaultdict(list)
    for invocation in sorted(invocations, key=lambda i: i.began):
        for data in invocation.data:
            of_key[key_of(data)].append((invocation, data))
    assert set(of_key) == set(keys)
    for key, deliveries in of_key.items():
        assert [data for _, data in deliveries] == [f"{key}:{number}" for number in range(rounds)]
        for (one, _), (next_one, _) in zip(deliveries, deliveries[1:]):
            assert one is next_one or one.ended <= next_one.began, f"two batches with {key} at the same time"


@pytest.mark.parametrize("language", LANGUAGES)
def test_parallel_lanes_are_concurrent_and_keep_the_order_of_each_key(shared, director, language):
    name, gate, keys = f"lanes-{language}", Gate(), [f"key-{i}" for i in range(24)]
    director.decide = gate
    relay(shared, director, name, language, role=shared.role(name))
    arn = shared.stream(name)
    put(shared, name, lanes_records(keys, 5), key_of)
    shared.mapping(name, arn, ParallelizationFactor=4, BatchSize=4)
    until(lambda: gate.inside == 4, what="four batches of one shard in flight")
    gate.opened.set()
    until(lambda: len(director.delivered(name)) >= 5 * len(keys), what="all records")
    assert gate.most == 4
    check_keys(director.of(name), keys, 5)


def test_a_poison_key_stops_only_its_lane(server, director):
    keys, poisoned = [f"key-{i}" for i in range(40)], threading.Event()
    poisoned.set()

    def decide(invocation):
        if poisoned.is_set() and "key-7:0" in invocation.data:
            raise Fail("key-7")

    director.decide = decide
    relay(server, director, role=server.role())
    arn = server.stream("s")
    put(server, "s", lanes_records(keys, 4), key_of)
    server.mapping("f", arn, ParallelizationFactor=4, BatchSize=3)
    finished = lambda: [d for d in director.delivered("f") if d.endswith(":3")]  # noqa: E731
    until(lambda: len(finished()) >= 20, what="the keys of three lanes")
    until(lambda: sum(i.failed for i in director.of("f")) >= 3, what="retries of the poison")
    # Even what comes later goes through the other lanes.
    free = key_of(finished()[0])
    put(server, "s", [f"{free}:4"], key_of)
    until(lambda: f"{free}:4" in director.delivered("f"), what="a later record of a free key")
    blocked = [data for data in director.delivered("f") if key_of(data) == "key-7"]
    assert blocked == [], "nothing of the key passes its failed record"
    failed = [i.data for i in director.of("f") if i.failed]
    assert all(batch == failed[0] for batch in failed), "the batch stays as it is"
    poisoned.clear()
    until(lambda: len(director.delivered("f")) == 4 * len(keys) + 1, what="all records")
    good = [i for i in director.of("f") if not i.failed and f"{free}:4" not in i.data]
    check_keys(good, keys, 4)


@pytest.mark.parametrize("language", LANGUAGES)
def test_bisecting_finds_the_poison(shared, director, language):
    name = f"bisect-{language}"
    director.decide = failing(5)
    queue = Queue(shared, name)
    relay(shared, director, name, language, policies=[queue.policy])
    arn = shared.stream(name)
    sequence_numbers = put(shared, name, range(8))
    shared.mapping(
        name, arn, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1, DestinationConfig=queue.destination
    )
    (document,) = queue.wait_for(1)
    until(lambda: "7" in director.delivered(name), what="the records after the poison")
    assert numbers_of(director, name) == [
        [0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [5], [6, 7],
    ]
    batch = document["KinesisBatchInfo"]
    assert (batch["startSequenceNumber"], batch["endSequenceNumber"], batch["batchSize"]) == (
        sequence_numbers[5], sequence_numbers[5], 1,
    )
    assert document["requestContext"]["approximateInvokeCount"] == 2
    assert queue.receive() and len(queue.bodies) == 1


def test_a_reported_record_is_where_a_batch_is_split(server, director):
    """The function says where: no halves. When it raises instead, halves, whatever it may report."""
    def decide(invocation):
        numbers, sequence_numbers = invocation.numbers, invocation.sequence_numbers
        if 5 in numbers and len(numbers) > 3:
            # Several ids, the lowest last.
            reported = [sequence_numbers[numbers.index(n)] for n in (7, 5)]
            return {"batchItemFailures": [{"itemIdentifier": number} for number in reported]}
        if 5 in numbers:
            raise Fail("the poison")
        return {"batchItemFailures": []}

    director.decide = decide
    queue = Queue(server)
    relay(server, director, policies=[queue.policy])
    arn = server.stream("s")
    put(server, "s", range(8))
    server.mapping(
        "f", arn, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1, DestinationConfig=queue.destination,
        **REPORTING,
    )
    (document,) = queue.wait_for(1)
    until(lambda: [7] in numbers_of(director), what="the records after the poison")
    assert numbers_of(director) == [[0, 1, 2, 3, 4, 5, 6, 7], [5, 6, 7], [5, 6], [5], [5], [6], [7]]
    assert document["KinesisBatchInfo"]["batchSize"] == 1


def test_reports_are_not_looked_at_where_the_option_is_off(server, director):
    director.decide = lambda i: {"batchItemFailures": [{"itemIdentifier": i.sequence_numbers[0]}]}
    relay(server, director, language="node", role=server.role())
    uuid = server.mapping("f", server.stream("s"))
    put(server, "s", [0])
    director.wait_for("f", 1)
    put(server, "s", [1])
    director.wait_for("f", 2)
    assert numbers_of(director) == [[0], [1]]
    until(lambda: describe(server, uuid)["LastProcessingResult"] == "OK", what="the result")


def test_without_retries_each_failing_batch_is_sent_once(server, director):
    director.decide = failing(1)
    relay(server, director, language="rust", role=server.role())
    arn = server.stream("s")
    put(server, "s", range(4))
    server.mapping("f", arn, BatchSize=1, MaximumRetryAttempts=0)
    director.wait_for("f", 4)
    assert numbers_of(director) == [[0], [1], [2], [3]]


def test_batches_fill_with_records_that_match(frozen, director):
    relay(frozen, director, language="node", role=frozen.role())
    pattern = json.dumps({"data": {"kind": [{"prefix": "y"}]}, "partitionKey": ["k"]})
    frozen.mapping(
        "f", frozen.stream("s"), BatchSize=3, MaximumBatchingWindowInSeconds=60,
        FilterCriteria={"Filters": [{"Pattern": pattern}]},
    )
    matching = ['{"kind" :  "yes", "n": %d.0}' % n for n in range(4)]
    for text in matching:
        put(frozen, "s", ['{"kind": "no"}', "not JSON", '{"other": "yes"}'])
        put(frozen, "s", [text], "another key")
        put(frozen, "s", [text])
    frozen.clock.drain()
    assert [i.data for i in director.of("f")] == [matching[:3]], "their bytes are those that were put"
    frozen.clock.advance_clock(Seconds=61)
    assert [i.data for i in director.of("f")] == [matching[:3], matching[3:]]
    put(frozen, "s", ["not JSON"] * 5)
    frozen.clock.advance_clock(Seconds=200)
    assert len(director.of("f")) == 2, "nothing matches: no invocation"


def counting(invocation):
    """Counts a window's records in its state."""
    state = invocation.event["state"]
    return {"state": {"count": state.get("count", 0) + len(invocation.records)}}


def window_of(invocation):
    event = invocation.event
    state = event["state"].get("count", 0)
    return len(event["Records"]), state, event["isFinalInvokeForWindow"], event["window"]["start"][11:]


@pytest.mark.parametrize("language", ["python", "node"])
def test_tumbling_windows_carry_a_state_to_their_last_invocation(frozen, director, language):
    director.decide = counting
    relay(frozen, director, language=language, role=frozen.role())
    arn = frozen.stream("s")
    frozen.mapping("f", arn, BatchSize=2, TumblingWindowInSeconds=120)
    put(frozen, "s", range(3))
    frozen.clock.drain()
    frozen.clock.advance_clock(Seconds=119)
    put(frozen, "s", [3])
    frozen.clock.drain()
    assert [window_of(i) for i in director.of("f")] == [
        (2, 0, False, "08:00:00Z"), (1, 2, False, "08:00:00Z"), (1, 3, False, "08:00:00Z"),
    ]
    first = director.of("f")[0].event
    assert first["window"] == {"start": "2026-01-31T08:00:00Z", "end": "2026-01-31T08:02:00Z"}
    assert (first["state"], first["shardId"], first["eventSourceARN"], first["isWindowTerminatedEarly"]) == (
        {}, "shardId-000000000000", arn, False,
    )
    # 08:02:10: a record of the next window ends the one before.
    frozen.clock.advance_clock(Seconds=1)
    put(frozen, "s", [4])
    frozen.clock.drain()
    assert [window_of(i) for i in director.of("f")[3:]] == [(0, 4, True, "08:00:00Z"), (1, 0, False, "08:02:00Z")]
    # Nothing more: within two minutes of its end the window is over.
    frozen.clock.advance_clock(Seconds=240)
    assert [window_of(i) for i in director.of("f")[5:]] == [(0, 1, True, "08:02:00Z")]
    frozen.clock.advance_clock(Seconds=600)
    assert len(director.of("f")) == 6, "no window without records"


def test_a_window_without_state_is_a_failure_and_its_last_invocation_is_retried(frozen, director):
    relay(frozen, director, role=frozen.role())
    director.decide = lambda invocation: {"count": 1}
    frozen.mapping("f", frozen.stream("s"), TumblingWindowInSeconds=60)
    put(frozen, "s", [0])
    frozen.clock.drain()
    frozen.clock.advance_clock(Seconds=2)
    assert numbers_of(director) == [[0], [0], [0]]

    def decide(invocation):
        if invocation.event["isFinalInvokeForWindow"] and len(director.of("f")) < 8:
            raise Fail("the last one")
        return counting(invocation)

    director.decide = decide
    frozen.clock.advance_clock(Seconds=600)
    finals = [window_of(i) for i in director.of("f") if i.event["isFinalInvokeForWindow"]]
    assert len(finals) == 4 and set(finals) == {(0, 1, True, "08:00:00Z")}


def test_the_end_of_a_shard_ends_its_window(frozen, director):
    director.decide = counting
    relay(frozen, director, role=frozen.role())
    kinesis = frozen.client("kinesis")
    frozen.mapping("f", frozen.stream("s"), TumblingWindowInSeconds=900)
    put(frozen, "s", range(8), key=str)
    frozen.clock.drain()
    kinesis.split_shard(StreamName="s", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    until(lambda: any(i.event["isFinalInvokeForWindow"] for i in director.of("f")), what="the last invocation")
    assert window_of(director.of("f")[-1]) == (0, 8, True, "08:00:00Z")
    summary = lambda: kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]  # noqa: E731
    until(lambda: summary()["StreamStatus"] == "ACTIVE", what="ACTIVE")
    put(frozen, "s", range(8), key=str)
    until(lambda: len(director.delivered("f")) == 16, what="the records of the children")
    frozen.clock.drain()
    children = director.of("f")[2:]
    assert {i.event["shardId"] for i in children} == {"shardId-000000000001", "shardId-000000000002"}
    for shard in ("shardId-000000000001", "shardId-000000000002"):
        assert next(i for i in children if i.event["shardId"] == shard).event["state"] == {}
    frozen.clock.advance_clock(Seconds=1100)
    finals = [i for i in director.of("f") if i.event["isFinalInvokeForWindow"]]
    of_shard = collections.Counter()
    for invocation in children:
        of_shard[invocation.event["shardId"]] += len(invocation.records)
    assert {i.event["shardId"]: i.event["state"]["count"] for i in finals[1:]} == of_shard


def test_a_consumer_as_event_source(server, director):
    relay(server, director, policies=[("kinesis:DescribeStreamConsumer", "*")])
    arn = server.stream("s", shards=2)
    consumer = registered(server, arn, "app")
    uuid = server.mapping("f", consumer, BatchSize=5)
    assert describe(server, uuid)["EventSourceArn"] == consumer
    put(server, "s", range(40), key=str)
    until(lambda: len(director.delivered("f")) == 40, what="all records")
    assert {record["eventSourceARN"] for i in director.of("f") for record in i.event["Records"]} == {consumer}
    assert {i.shard for i in director.of("f")} == {"shardId-000000000000", "shardId-000000000001"}
    kinesis = server.client("kinesis")
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    until(lambda: describe(server, uuid)["LastProcessingResult"].startswith("PROBLEM: "), what="a visible problem")
    assert describe(server, uuid)["State"] == "Enabled"


def test_aggregated_records_are_taken_apart_for_a_consumer_only(server, director):
    for name in ("plain", "taken-apart"):
        relay(server, director, name, policies=[("kinesis:DescribeStreamConsumer", "*")])
    arn = server.stream("s")
    server.mapping("plain", arn)
    server.mapping("taken-apart", registered(server, arn, "app"))
    aggregator = RecordAggregator()
    for number in range(5):
        assert aggregator.add_user_record(f"key-{number}", str(number)) is None
    partition_key, _, data = aggregator.clear_and_get().get_contents()
    sent = server.client("kinesis").put_record(StreamName="s", PartitionKey=partition_key, Data=data)
    (whole,) = director.wait_for("plain", 1)
    assert [base64.b64decode(record["data"]) for record in whole.records] == [data]
    (apart,) = director.wait_for("taken-apart", 1)
    assert (apart.numbers, apart.keys) == (list(range(5)), [f"key-{number}" for number in range(5)])
    assert set(apart.sequence_numbers) == {sent["SequenceNumber"]}


def test_where_a_mapping_starts(frozen, director):
    role = frozen.role()
    for name in ("all", "late", "between"):
        relay(frozen, director, name, role=role)
    arn = frozen.stream("s", shards=2)
    put(frozen, "s", range(8), key=str)
    frozen.clock.advance_clock(Seconds=10)
    put(frozen, "s", range(8, 16), key=str)
    frozen.mapping("all", arn, StartingPosition="TRIM_HORIZON")
    frozen.mapping("late", arn, StartingPosition="LATEST")
    moment = START + datetime.timedelta(seconds=5)
    uuid = frozen.mapping("between", arn, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=moment)
    assert describe(frozen, uuid)["StartingPositionTimestamp"] == moment
    put(frozen, "s", range(16, 24), key=str)
    for name, first in [("all", 0), ("between", 8), ("late", 16)]:
        until(lambda: len(director.delivered(name)) >= 24 - first, what=f"the records of {name}")
    frozen.clock.drain()
    for name, first in [("all", 0), ("between", 8), ("late", 16)]:
        assert sorted(map(int, director.delivered(name))) == list(range(first, 24)), name


def test_a_record_that_no_event_can_carry_goes_to_the_destination(server, director):
    queue = Queue(server)
    relay(server, director, policies=[queue.policy])
    arn = server.stream("s")
    kinesis = server.client("kinesis")
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=10240)
    summary = lambda: kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]  # noqa: E731
    until(lambda: summary()["StreamStatus"] == "ACTIVE", what="ACTIVE")
    put(server, "s", ["before"])
    huge = kinesis.put_record(StreamName="s", PartitionKey="k", Data=b"x" * 5_000_000)["SequenceNumber"]
    put(server, "s", ["after"])
    server.mapping("f", arn, DestinationConfig=queue.destination)
    (document,) = queue.wait_for(1)
    batch = document["KinesisBatchInfo"]
    assert (batch["startSequenceNumber"], batch["batchSize"]) == (huge, 1)
    context = document["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetryAttemptsExhausted", 1)
    assert "responseContext" not in document
    until(lambda: "after" in director.delivered("f"), what="the next record")
    assert director.delivered("f") == ["before", "after"]
