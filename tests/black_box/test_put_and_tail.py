"""`millstream put` and `millstream tail`, and the aggregated records of the Kinesis Producer Library between them."""

import base64
import hashlib
import json
import select
import subprocess

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import deaggregate_records

from millstream import BINARY, until


def run(server, *arguments, text=None):
    done = subprocess.run(
        [BINARY, *arguments], input=text, capture_output=True, text=True, timeout=60,
        env=server.environment(AWS_REGION="us-west-2"),
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def lines(server, stream, *more):
    shown = run(server, "tail", stream, "--from", "trim-horizon", "--no-follow", "--json", *more)
    return [json.loads(line) for line in shown.splitlines()]


def test_lines_go_in_and_come_out(server):
    server.stream("s", shards=2)
    assert run(server, "put", "s", "--data", "hello", "--partition-key", "k") == "put 1 records, 5 bytes, into s\n"
    run(server, "put", "s", text="one\ntwo\n\nlast without an end")
    shown = lines(server, "s")
    assert sorted(record["data"] for record in shown) == ["", "hello", "last without an end", "one", "two"]
    assert [record["partitionKey"] for record in shown if record["data"] == "hello"] == ["k"]
    assert "hello" in run(server, "tail", "s", "--from", "trim-horizon", "--no-follow")


def test_a_line_that_is_typed_is_put_at_once(server):
    server.stream("s")
    put = subprocess.Popen(
        [BINARY, "put", "s", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=server.environment(AWS_REGION="us-west-2"),
    )
    for line in ("first", "second"):
        put.stdin.write(f"{line}\n")
        put.stdin.flush()
        assert json.loads(put.stdout.readline())["ShardId"] == "shardId-000000000000"
    put.communicate(timeout=30)
    assert [record["data"] for record in lines(server, "s")] == ["first", "second"]


def test_tail_follows_a_stream_through_its_reshardings(server):
    server.stream("s", shards=1)
    tail = subprocess.Popen(
        [BINARY, "tail", "s", "--json", "--records", "30"], stdout=subprocess.PIPE, text=True,
        env=server.environment(AWS_REGION="us-west-2"),
    )
    kinesis = server.client("kinesis")
    # What is put before tail has begun is not shown: wait until something is.
    until(lambda: kinesis.put_record(StreamName="s", PartitionKey="k", Data=b"0") and readable(tail), what="tail begins")
    for target in (2, 4, 3, 2, 1):
        kinesis.update_shard_count(StreamName="s", TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        for _ in range(10):
            kinesis.put_record(StreamName="s", PartitionKey=f"k{target}", Data=str(target).encode())
        until(
            lambda: kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]["StreamStatus"]
            == "ACTIVE",
            what="ACTIVE",
        )
    out, _ = tail.communicate(timeout=30)
    assert tail.returncode == 0
    assert len({json.loads(line)["shardId"] for line in out.splitlines()}) > 2


def readable(process):
    return select.select([process.stdout], [], [], 0.05)[0]


def test_aggregated_records_are_those_of_the_producer_library(server):
    server.stream("agg", shards=4)
    numbers = "".join(f"number {i}\n" for i in range(3000))
    assert run(server, "put", "agg", "--aggregate", text=numbers).startswith("put 3000 records in ")
    # AWS's own library takes apart what was put.
    kinesis, stored, shards = server.client("kinesis"), [], 0
    for shard in kinesis.list_shards(StreamName="agg")["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName="agg", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = kinesis.get_records(ShardIterator=iterator)["Records"]
        shards += bool(records)
        events = [{"kinesis": {**r, "data": base64.b64encode(r["Data"]).decode(),
                               "partitionKey": r["PartitionKey"], "sequenceNumber": r["SequenceNumber"],
                               "approximateArrivalTimestamp": 0, "kinesisSchemaVersion": "1.0"},
                   "eventVersion": "1.0", "eventID": "", "eventName": "", "eventSource": "",
                   "invokeIdentityArn": "", "awsRegion": "", "eventSourceARN": ""} for r in records]
        start, end = (int(shard["HashKeyRange"][name]) for name in ("StartingHashKey", "EndingHashKey"))
        for record in deaggregate_records(events):
            key = record["kinesis"]["partitionKey"]
            assert start <= int(hashlib.md5(key.encode()).hexdigest(), 16) <= end, "the client library would drop it"
            stored.append(base64.b64decode(record["kinesis"]["data"]).decode())
    assert sorted(stored) == sorted(numbers.splitlines())
    assert shards == 4

    shown = lines(server, "agg")
    assert sorted(record["data"] for record in shown) == sorted(numbers.splitlines())
    assert {record["subSequenceNumber"] for record in shown} >= {0, 1, 2}
    assert 4 <= len(lines(server, "agg", "--no-deaggregate")) < 30


def test_records_of_the_library_pass_untouched_and_are_shown_apart(server):
    server.stream("s")
    aggregator, made = RecordAggregator(), [("k1", "first"), ("k2", "second"), ("k1", "third")]
    for key, data in made:
        aggregator.add_user_record(key, data)
    key, _, data = aggregator.clear_and_get().get_contents()
    server.client("kinesis").put_record(StreamName="s", PartitionKey=key, Data=data)
    shown = lines(server, "s")
    assert [(record["partitionKey"], record["data"]) for record in shown] == made
    whole = lines(server, "s", "--no-deaggregate")
    assert [base64.b64decode(record["dataBase64"]) for record in whole] == [data]
