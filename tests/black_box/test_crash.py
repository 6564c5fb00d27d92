"""kill -9 at the worst moments: nothing acknowledged is lost, order per shard holds."""

import collections
import json
import threading

import botocore.exceptions

from collector import collector
from millstream import Server, until

# Reports each batch to the collector, fails when that refuses it, and is slow now and then.
HANDLER = '''
import base64, json, os, time, urllib.request

def handler(event, context):
    numbers = [json.loads(base64.b64decode(r["kinesis"]["data"])) for r in event["Records"]]
    shard = event["Records"][0]["eventID"].split(":")[0]
    if numbers[0] % 5 == 0:
        time.sleep(0.05)
    report = json.dumps([shard, numbers]).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["COLLECTOR"], report, method="POST"), timeout=5).close()
'''


class Producer(threading.Thread):
    """Puts numbered records until told to stop; remembers in order what was acknowledged, by shard."""

    def __init__(self, server, stream, pause=0.0):
        super().__init__(daemon=True)
        self.pause = pause
        self.client = server.client("kinesis")
        self.stream, self.stopped, self.next = stream, threading.Event(), 0
        self.acknowledged = collections.defaultdict(list)

    def run(self):
        while not self.stopped.wait(self.pause):
            numbers = range(self.next, self.next + 10)
            self.next += 10
            records = [{"PartitionKey": f"key-{n % 16}", "Data": str(n).encode()} for n in numbers]
            try:
                answer = self.client.put_records(StreamName=self.stream, Records=records)
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
                self.stopped.wait(0.05)
                continue
            for number, result in zip(numbers, answer["Records"]):
                if "SequenceNumber" in result:
                    self.acknowledged[result["ShardId"]].append((number, result["SequenceNumber"]))

    def finish(self):
        self.stopped.set()
        self.join(30)

    def count(self):
        return sum(map(len, self.acknowledged.values()))


def stored(server, stream):
    kinesis = server.client("kinesis")
    found = {}
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = found.setdefault(shard["ShardId"], [])
        while True:
            page = kinesis.get_records(ShardIterator=iterator)
            records += [(int(r["Data"]), r["SequenceNumber"]) for r in page["Records"]]
            iterator = page["NextShardIterator"]
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                break
    return found


def check_stored(server, stream, producers):
    found = stored(server, stream)
    for shard, records in found.items():
        sequence_numbers = [int(sequence_number) for _, sequence_number in records]
        assert sequence_numbers == sorted(set(sequence_numbers)), "strictly increasing in each shard"
    for producer in producers:
        for shard, records in producer.acknowledged.items():
            acknowledged = set(records)
            here = [record for record in found[shard] if record in acknowledged]
            assert here == records, f"every acknowledged record of {shard}, once, in order, byte for byte"
    return found


def test_acknowledged_records_survive_kills_under_load(tmp_path):
    server = Server(tmp_path).start()
    server.stream("numbers", shards=4)
    producer = Producer(server, "numbers")
    producer.start()
    for round_number in range(1, 4):
        until(lambda: producer.count() > 300 * round_number, what="enough acknowledged records")
        server.kill()
        server.start()
    producer.finish()
    check_stored(server, "numbers", [producer])
    server.stop()


def test_a_killed_pipeline_loses_nothing_and_keeps_order(tmp_path):
    with collector(poison=37) as (url, reports):
        server = Server(tmp_path).start()
        environment = {"Variables": {"COLLECTOR": url}}
        server.function("worker", {"handler.py": HANDLER}, server.role(), Timeout=10, Environment=environment)
        server.mapping("worker", server.stream("work", shards=4), BatchSize=25)
        # Each failing record holds its shard for half a second: more load would only make the test longer.
        producer = Producer(server, "work", pause=0.05)
        producer.start()
        for round_number in range(1, 4):
            until(lambda: producer.count() > 250 * round_number, what="enough acknowledged records")
            until(lambda: len(reports) > 20 * round_number, what="batches done before the kill")
            server.kill()
            server.start()
        producer.finish()
        found = check_stored(server, "work", [producer])
        expected = {shard: [n for n, _ in records] for shard, records in found.items() if records}
        until(lambda: seen(reports) == {s: set(n) for s, n in expected.items()}, 60, "every stored record processed")
        for shard, order in expected.items():
            check_order(shard, [numbers for reported, numbers in list(reports) if reported == shard], order)
        server.stop()


def seen(reports):
    shards = collections.defaultdict(set)
    for shard, numbers in list(reports):
        shards[shard].update(numbers)
    return shards


def check_order(shard, batches, stored_order):
    """Batches advance through the shard; only a restart may step back, to a place already seen."""
    place = {number: index for index, number in enumerate(stored_order)}
    reached, steps_back = 0, 0
    for batch in batches:
        places = [place[number] for number in batch]
        assert places == list(range(places[0], places[0] + len(places))), f"{shard}: a batch without holes"
        assert places[0] <= reached, f"{shard}: nothing was skipped before {batch[0]}"
        steps_back += places[0] < reached
        reached = max(reached, places[-1] + 1)
    assert reached == len(stored_order)
    assert steps_back <= 3, f"{shard}: only the three kills may redeliver"
