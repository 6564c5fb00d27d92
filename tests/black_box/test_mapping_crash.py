"""kill -9 at random moments under each option: what the functions really received shows that nothing went wrong."""

import collections
import json
import os
import random
import threading

import pytest

from mappings import Fail, Queue, relay
from millstream import Server, until
from test_crash import Producer, stored

CRASHES = 4
POISON = 83
REPORTING = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}
FILTERS = {"FilterCriteria": {"Filters": [{"Pattern": '{"partitionKey": [{"anything-but": ["key-3"]}]}'}]}}


class Once:
    """Fails each batch with one of some numbers, but only once for each of these."""

    def __init__(self, every):
        self.every, self.failed = every, set()

    def __call__(self, invocation):
        new = [n for n in invocation.numbers if n % self.every == 0 and n not in self.failed]
        if new:
            self.failed.add(new[0])
            raise Fail(f"{new[0]}, for the first time")


def poisoned(invocation):
    return [number for number in invocation.numbers if number % POISON == 7]


def raising(invocation):
    if poisoned(invocation):
        raise Fail("poison")


def reporting(invocation):
    of_number = dict(zip(invocation.numbers, invocation.sequence_numbers))
    return {"batchItemFailures": [{"itemIdentifier": of_number[number]} for number in poisoned(invocation)]}


def gathering(invocation):
    return {"state": {"numbers": invocation.event["state"].get("numbers", []) + invocation.numbers}}


# Options of the mapping, what the function does, and whether failed batches go to a queue.
SETS = {
    "plain": ({"BatchSize": 25}, Once(97), False),
    "lanes": ({"BatchSize": 10, "ParallelizationFactor": 4}, Once(97), False),
    "bisect": (
        {"BatchSize": 10, "ParallelizationFactor": 2, "BisectBatchOnFunctionError": True, "MaximumRetryAttempts": 2},
        raising, True,
    ),
    "reports": ({"BatchSize": 10, "MaximumRetryAttempts": 1, **REPORTING}, reporting, True),
    "filters": ({"BatchSize": 20, "MaximumBatchingWindowInSeconds": 1, **FILTERS}, Once(97), False),
    "windows": ({"BatchSize": 25, "TumblingWindowInSeconds": 1}, gathering, False),
}


@pytest.mark.parametrize("name", SETS)
def test_kills_under(name, tmp_path, director):
    options, decide, has_queue = SETS[name]
    director.decide = ambush = Ambush(decide, has_queue)
    seed = int(os.environ.get("MILLSTREAM_TEST_SEED") or random.randrange(2**32))
    print(f"MILLSTREAM_TEST_SEED={seed}")
    chance = random.Random(seed)
    server = Server(tmp_path).start()
    try:
        queue = Queue(server) if has_queue else None
        relay(server, director, policies=[queue.policy] if queue else ())
        arn = server.stream("s", shards=2)
        server.mapping("f", arn, **options, **({"DestinationConfig": queue.destination} if queue else {}))
        producer = Producer(server, "s", pause=0.05)
        producer.start()
        for _ in range(CRASHES):
            kill(server, director, producer, chance, ambush)
            server.start()
        producer.finish()
        run = Run(director, stored(server, "s"), queue, name)
        run.wait(seed)
        run.check()
        server.stop()
    finally:
        if server.process.poll() is None:
            server.kill()


class Ambush:
    """Catches the function in the middle of an invocation, with the poison if there is any, for the kill."""

    def __init__(self, decide, has_poison):
        self.decide, self.has_poison = decide, has_poison
        self.armed, self.caught, self.released = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, invocation):
        if self.armed.is_set() and (poisoned(invocation) or not self.has_poison):
            self.armed.clear()
            self.caught.set()
            self.released.wait(60)
            raise Fail("the server is gone")
        return self.decide(invocation)

    def ended(self, director):
        """How many of the invocations that it looks for have ended."""
        return sum(bool(poisoned(i) or not self.has_poison) for i in list(director.all) if i.ended)

    def __enter__(self):
        self.released.clear()
        self.caught.clear()
        self.armed.set()
        assert self.caught.wait(30), "no invocation"

    def __exit__(self, *_):
        self.released.set()


def kill(server, director, producer, chance, ambush):
    """After some work: with an invocation in flight, just after one, or at any time."""
    records = producer.count() + chance.randrange(20, 80)
    batches = len(director.all) + chance.randrange(3, 12)
    until(lambda: producer.count() > records and len(director.all) > batches, what="work before the kill")
    match chance.randrange(3):
        case 0:
            with ambush:
                server.kill()
            return
        case 1:
            known = ambush.ended(director)
            until(lambda: ambush.ended(director) > known, what="the end of an invocation")
            producer.stopped.wait(chance.random() * 0.03)
        case 2:
            producer.stopped.wait(chance.random() * 0.6)
    server.kill()


class Run:
    """What was stored, what the function received, and what was given up."""

    def __init__(self, director, found, queue, name):
        self.director, self.queue, self.name = director, queue, name
        self.retries = SETS[name][0].get("MaximumRetryAttempts")
        self.wanted = [n for records in found.values() for n, _ in records if name != "filters" or n % 16 != 3]
        self.number_of = {(shard, sequence): n for shard, records in found.items() for n, sequence in records}
        self.order_of = {shard: [n for n, _ in records] for shard, records in found.items()}
        self.missing = None

    def wait(self, seed):
        try:
            until(self.is_done, 60, "the rest")
        except AssertionError as error:
            raise AssertionError(f"{error}; {seed=}, missing: {self.missing}") from None

    def is_done(self):
        if self.queue:
            self.queue.receive()
        done = self.gathered() if self.name == "windows" else self.processed()
        self.missing = set(self.wanted) - set(done) - {n for decision in self.given_up() for n in decision[2]}
        return not self.missing and (not self.queue or not self.undelivered())

    def undelivered(self):
        """Poison that is in no failed batch."""
        given_up = {n for decision in self.given_up() for n in decision[2]}
        return {n for n in self.wanted if n % POISON == 7} - given_up

    def processed(self):
        done = set()
        for invocation in self.director.of("f"):
            if invocation.ended and not invocation.failed:
                bad = [n for n in poisoned(invocation) if self.name == "reports"]
                numbers = invocation.numbers
                done.update(numbers[:numbers.index(bad[0])] if bad else numbers)
        return done

    def gathered(self):
        """What the last invocations of all windows had in their states; a repeated one counts once."""
        states = {}
        for invocation in self.director.of("f"):
            event = invocation.event
            if event["isFinalInvokeForWindow"]:
                states[event["shardId"], event["window"]["start"]] = event["state"].get("numbers", [])
        return [n for numbers in states.values() for n in numbers]

    def given_up(self):
        """Shard, sequence number of the first, and the numbers of each failed batch in the queue."""
        decisions = []
        for body in self.queue.bodies if self.queue else []:
            batch = json.loads(body)["KinesisBatchInfo"]
            shard = batch["shardId"]
            numbers = self.order_of[shard]
            first, last = (self.number_of[shard, batch[f"{end}SequenceNumber"]] for end in ("start", "end"))
            within = numbers[numbers.index(first):numbers.index(last) + 1]
            decisions.append((shard, first, tuple(within), batch["batchSize"]))
        return decisions

    def check(self):
        self.check_order()
        self.check_decisions()
        if self.name == "windows":
            gathered = self.gathered()
            assert len(gathered) == len(set(gathered)), "in one window each, and once"
        if self.name == "filters":
            assert not any("key-3" in invocation.keys for invocation in self.director.of("f"))

    def check_order(self):
        seen, keys = set(), collections.defaultdict(list)
        for invocation in sorted(self.director.of("f"), key=lambda i: i.began):
            for key, number in zip(invocation.keys, invocation.numbers):
                if number not in seen:
                    seen.add(number)
                    keys[key].append(number)
        for key, numbers in keys.items():
            assert numbers == sorted(numbers), f"{key}: first deliveries in order"

    def check_decisions(self):
        decisions = collections.Counter(self.given_up())
        ends = collections.Counter((shard, first) for shard, first, *_ in decisions)
        assert set(ends.values()) <= {1}, "a decision is the same after a crash"
        for (shard, first, _, size), messages in decisions.items():
            assert messages <= 1 + CRASHES, f"{first}: {messages} messages"
            assert first % POISON == 7, "the poison, and nothing before it"
            if self.name == "bisect":
                assert size == 1, "the poison alone"
            tries = [i for i in self.director.of("f") if i.numbers[0] == first and len(i.numbers) == size]
            assert 1 + self.retries <= len(tries) <= 1 + self.retries + CRASHES, f"{first}: {len(tries)} tries"
