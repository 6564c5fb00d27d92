"""async-kinesis, a consumer library of others with leases and checkpoints in Redis, against the endpoint.

What the library does not do, whoever serves the stream: it does not checkpoint the last batch of a shard that was closed, so
a worker that comes later reads that batch again; and it waits for one parent of a merged shard only, so records of a key may
come out of order over a merge.
"""

import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading

import pytest
import redis as redis_client

from millstream import Server, free_port, until
from test_resharding import Producers, reshard, wait_active

APP = pathlib.Path(__file__).with_name("async_kinesis_app.py")


@pytest.fixture
def redis(tmp_path):
    """A Redis of the test's own."""
    assert shutil.which("redis-server"), "redis-server is not installed: apt-get install redis-server"
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = redis_client.Redis(port=port)
    try:
        until(lambda: is_up(client), what="Redis")
        yield client
    finally:
        process.terminate()
        process.wait(30)


def is_up(client):
    try:
        return client.ping()
    except redis_client.ConnectionError:
        return False


class Worker:
    """A process of the application; what it processed is in `texts`."""

    def __init__(self, server, redis, stream, name, shards_max=1000):
        port = redis.connection_pool.connection_kwargs["port"]
        environment = {**os.environ, **server.environment(), "REDIS_PORT": str(port)}
        self.texts, self.errors = [], server.folder / f"{name}.log"
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(APP), server.endpoint, stream, name, str(shards_max)],
                env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.texts.append(line.strip())

    def has(self, count):
        assert self.process.poll() is None, self.errors.read_text()
        return len(self.texts) >= count

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0, self.errors.read_text()
        self.reader.join(30)
        return self.texts

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.reader.join(30)
        return self.texts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


def acknowledged(producers):
    """What was put, by key and in order."""
    return {key: [data.decode() for _, data in sorted(records)] for key, records in producers.acknowledged.items()}


def by_key(texts):
    keys = collections.defaultdict(list)
    for text in texts:
        keys[text.split(":")[0]].append(text)
    return dict(keys)


def put(kinesis, stream, texts):
    records = [{"PartitionKey": text, "Data": text.encode()} for text in texts]
    assert kinesis.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0


@pytest.mark.parametrize("limits", ["off", "aws"])
def test_two_workers_share_a_stream_and_read_every_record_once_in_order(tmp_path, redis, limits):
    with Server(tmp_path, "--shard-limits", limits) as server:
        server.stream("shared", shards=4)
        with Worker(server, redis, "shared", "a", 2) as a, Worker(server, redis, "shared", "b", 2) as b:
            with Producers(server, "shared") as producers:
                # The library tries for shards again only every now and then.
                until(lambda: a.has(100) and b.has(100), seconds=90, what="records in both workers")
            until(lambda: len(a.texts) + len(b.texts) >= producers.count(), what="all records")
            leases = [json.loads(redis.get(key)) for key in redis.keys("pyredis-app-*")]
            assert collections.Counter(lease["ref"] for lease in leases) == {"app/a": 2, "app/b": 2}
            texts = a.stop() + b.stop()
    assert by_key(texts) == acknowledged(producers)


def test_a_worker_goes_on_where_the_one_before_stopped(server, redis):
    server.stream("restarted", shards=3)
    kinesis = server.client("kinesis")
    first, second, third = ([f"{part}-{i}" for i in range(200)] for part in ("first", "second", "third"))
    put(kinesis, "restarted", first)
    with Worker(server, redis, "restarted", "one") as worker:
        until(lambda: worker.has(200), what="the first part")
        assert sorted(worker.stop()) == sorted(first)
    put(kinesis, "restarted", second)
    # Its leases are free, and nothing comes again.
    with Worker(server, redis, "restarted", "two") as worker:
        until(lambda: worker.has(200), what="the second part")
        processed = worker.kill()
        assert sorted(processed) == sorted(second)
    # After kill -9 the leases run out; at most what came after the last checkpoint comes again.
    put(kinesis, "restarted", third)
    with Worker(server, redis, "restarted", "three") as worker:
        until(lambda: set(third) <= set(worker.texts), what="the third part")
        texts = worker.stop()
    assert not set(texts) & set(first)
    assert collections.Counter(texts).most_common(1)[0][1] == 1


def test_a_worker_follows_splits_and_merges(server, redis):
    server.stream("resharded", shards=2)
    kinesis, chance = server.client("kinesis"), random.Random(5)
    with Worker(server, redis, "resharded", "one") as worker, Producers(server, "resharded") as producers:
        for _ in range(8):
            before = producers.count()
            reshard(kinesis, "resharded", chance)
            wait_active(kinesis, "resharded")
            until(lambda: producers.count() > before and worker.has(before), what="the worker to keep up")
        producers.stop()
        until(lambda: worker.has(producers.count()), what="all records")
        texts = worker.stop()
    assert sorted(texts) == sorted(text for texts in acknowledged(producers).values() for text in texts)
