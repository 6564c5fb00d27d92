"""Streams that are split, merged and scaled under load: nothing is lost, doubled or out of order."""

import collections
import contextlib
import random
import threading

import botocore.exceptions
import pytest

from collector import collector
from consumer import Consumer
from millstream import Server, until

SPACE = 2**128


class Producers:
    """Threads that put numbered records for keys of their own and remember what was acknowledged, in order of key."""

    def __init__(self, server, stream, threads=2):
        self.server, self.stream, self.stopped = server, stream, threading.Event()
        self.acknowledged = collections.defaultdict(list)
        self.attempted = collections.Counter()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)

    def run(self, number):
        kinesis = self.server.client("kinesis")
        keys = [f"{number}-{i}" for i in range(8)]
        count = 0
        while not self.stopped.is_set():
            records = [{"PartitionKey": key, "Data": f"{key}:{count}".encode()} for key in keys]
            self.attempted.update(keys)
            try:
                answers = kinesis.put_records(StreamName=self.stream, Records=records)["Records"]
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
                self.stopped.wait(0.05)
                answers = []
            for record, answer in zip(records, answers):
                if "SequenceNumber" in answer:
                    stored = (int(answer["SequenceNumber"]), record["Data"])
                    self.acknowledged[record["PartitionKey"]].append(stored)
            count += 1

    def count(self):
        return sum(map(len, self.acknowledged.values()))


def open_shards(kinesis, stream):
    shards = kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    ranges = {
        shard["ShardId"]: (int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]))
        for shard in shards
    }
    ordered = sorted(ranges.values())
    assert ordered[0][0] == 0 and ordered[-1][1] == SPACE - 1
    assert all(left[1] + 1 == right[0] for left, right in zip(ordered, ordered[1:])), "the open shards leave a hole"
    return dict(sorted(ranges.items(), key=lambda item: item[1]))


def reshard(kinesis, stream, chance):
    """One random change. Gives up in silence where the stream is busy with the one before."""
    shards = open_shards(kinesis, stream)
    names = list(shards)
    choice = chance.random()
    if choice < 0.45 or len(names) == 1:
        name = chance.choice(names)
        start, end = shards[name]
        if end - start < 8:
            return
        key = chance.randrange(start + 2, end)
        kinesis.split_shard(StreamName=stream, ShardToSplit=name, NewStartingHashKey=str(key))
    elif choice < 0.8:
        place = chance.randrange(len(names) - 1)
        kinesis.merge_shards(
            StreamName=stream, ShardToMerge=names[place], AdjacentShardToMerge=names[place + 1]
        )
    else:
        target = chance.randrange((len(names) + 1) // 2, 2 * len(names) + 1)
        with contextlib.suppress(kinesis.exceptions.LimitExceededException):
            kinesis.update_shard_count(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")


def wait_active(kinesis, stream):
    def summary():
        return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]

    until(lambda: summary()["StreamStatus"] == "ACTIVE", what="ACTIVE")


def check(consumer, producers, exact):
    """Everything acknowledged was processed, once, in order of its key and of the sequence numbers given out."""
    for key, acknowledged in producers.acknowledged.items():
        processed = consumer.records[key]
        assert [number for number, _ in processed] == sorted({number for number, _ in processed}), key
        if exact:
            assert processed == acknowledged, key
        else:
            missing = set(acknowledged) - set(processed)
            assert not missing, f"{key}: {missing}"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_consumer_with_leases_sees_every_record_once(server, seed):
    server.stream("resharded", shards=2)
    kinesis, chance = server.client("kinesis"), random.Random(seed)
    with Producers(server, "resharded") as producers:
        consumer = Consumer(server, "resharded").start()
        for _ in range(20):
            before = producers.count()
            reshard(kinesis, "resharded", chance)
            wait_active(kinesis, "resharded")
            until(lambda: producers.count() > before, what="records between two changes")
    until(lambda: consumer.failure or consumer.count() == producers.count(), what="all records processed")
    consumer.stop()
    check(consumer, producers, exact=True)
    assert len(consumer.leases) > 10, "the stream was resharded all the time"


def test_kill_9_in_the_middle_of_resharding(tmp_path):
    server, chance = Server(tmp_path), random.Random(7)
    server.start()
    try:
        server.stream("crashed", shards=4)
        consumer = Consumer(server, "crashed").start()
        with Producers(server, "crashed") as producers:
            for round in range(6):
                kinesis = server.client("kinesis")
                before = producers.count()
                reshard(kinesis, "crashed", chance)
                if round % 3 == 2:
                    with contextlib.suppress(botocore.exceptions.ClientError):
                        hours = chance.randrange(25, 100)
                        kinesis.increase_stream_retention_period(StreamName="crashed", RetentionPeriodHours=hours)
                producers.stopped.wait(chance.random() * 0.03)
                server.kill()
                server.start()
                kinesis = server.client("kinesis")
                wait_active(kinesis, "crashed")
                open_shards(kinesis, "crashed")
                until(lambda: producers.count() > before, what="records after a restart")
        until(
            lambda: consumer.failure or not any(
                set(acknowledged) - set(consumer.records[key]) for key, acknowledged in producers.acknowledged.items()
            ),
            what="all acknowledged records processed",
        )
        consumer.stop()
        check(consumer, producers, exact=False)
    finally:
        server.kill()


HANDLER = '''
import base64, json, os, urllib.request

def handler(event, context):
    records = [record["kinesis"] for record in event["Records"]]
    keys = [record["partitionKey"] for record in records]
    report = json.dumps([keys, [int(base64.b64decode(record["data"])) for record in records]]).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], report, method="POST"), timeout=5).close()
'''


def test_a_mapping_follows_parents_to_their_children(server):
    with collector() as (url, reports):
        arn = server.stream("mapped", shards=1)
        environment = {"Variables": {"COLLECTOR": url}}
        server.function("follower", {"handler.py": HANDLER}, server.role(), Environment=environment)
        server.mapping("follower", arn, BatchSize=10)
        kinesis, chance, count = server.client("kinesis"), random.Random(3), 0
        for _ in range(8):
            for _ in range(5):
                records = [{"PartitionKey": f"k{i}", "Data": str(count).encode()} for i in range(6)]
                assert kinesis.put_records(StreamName="mapped", Records=records)["FailedRecordCount"] == 0
                count += 1
            reshard(kinesis, "mapped", chance)
            wait_active(kinesis, "mapped")
        until(lambda: sum(len(keys) for keys, _ in list(reports)) >= 6 * count, what="all records in the function")
        seen = collections.defaultdict(list)
        for keys, numbers in reports:
            for key, number in zip(keys, numbers):
                seen[key].append(number)
        assert seen == {f"k{i}": list(range(count)) for i in range(6)}
