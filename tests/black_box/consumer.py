"""A consumer as the Kinesis Client Library builds one on the public API: a lease for each shard, parents before children,
a checkpoint after each batch. The library's own sanity checks are made on each answer."""

import collections
import random
import threading

import botocore.exceptions

SHARD_END = "SHARD_END"


class Lease:
    def __init__(self, shard):
        self.shard, self.checkpoint, self.owner = shard["ShardId"], "TRIM_HORIZON", None
        self.parents = [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]


class Consumer:
    """Several workers that take leases from each other; what they processed is in `records`, by partition key."""

    def __init__(self, server, stream, workers=3):
        self.server, self.stream, self.kinesis = server, stream, server.client("kinesis")
        self.leases, self.lock, self.stopped = {}, threading.Lock(), threading.Event()
        self.records, self.failure = collections.defaultdict(list), None
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(workers)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)
        if self.failure:
            raise self.failure

    def sync_shards(self):
        """A lease for every shard whose parents are known to be done, or gone."""
        shards, token = [], {"StreamName": self.stream}
        while True:
            page = self.kinesis.list_shards(**token)
            shards += page["Shards"]
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        present = {shard["ShardId"] for shard in shards}
        with self.lock:
            for shard in shards:
                parents = Lease(shard).parents
                ready = all(
                    parent not in present or (parent in self.leases and self.leases[parent].checkpoint == SHARD_END)
                    for parent in parents
                )
                if ready and shard["ShardId"] not in self.leases:
                    self.leases[shard["ShardId"]] = Lease(shard)

    def work(self, worker):
        chance = random.Random(worker)
        try:
            while not self.stopped.is_set():
                try:
                    self.sync_shards()
                    self.take_turn(worker, chance)
                except botocore.exceptions.ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                        raise
                except botocore.exceptions.BotoCoreError:
                    self.stopped.wait(0.05)  # the server is being started again
        except Exception as error:  # shown by `stop`
            self.failure = error
            self.stopped.set()

    def take_turn(self, worker, chance):
        with self.lock:
            free = [lease for lease in self.leases.values() if lease.owner is None and lease.checkpoint != SHARD_END]
            if not free:
                lease = None
            else:
                lease = chance.choice(free)
                lease.owner = worker
        if lease is None:
            self.stopped.wait(0.01)
            return
        try:
            self.read(lease, chance.randrange(1, 5))
        finally:
            lease.owner = None

    def read(self, lease, calls):
        """Some batches of one shard, as the owner of its lease."""
        position = {"ShardIteratorType": "TRIM_HORIZON"}
        if lease.checkpoint != "TRIM_HORIZON":
            position = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": lease.checkpoint}
        iterator = self.kinesis.get_shard_iterator(StreamName=self.stream, ShardId=lease.shard, **position)
        iterator = iterator["ShardIterator"]
        for _ in range(calls):
            answer = self.kinesis.get_records(ShardIterator=iterator, Limit=200)
            ended = answer.get("NextShardIterator") is None
            assert ended == bool(answer.get("ChildShards")), f"the end of {lease.shard} is told wrongly: {answer}"
            for child in answer.get("ChildShards", []):
                assert lease.shard in child["ParentShards"], child
            for record in answer["Records"]:
                self.records[record["PartitionKey"]].append((int(record["SequenceNumber"]), record["Data"]))
                lease.checkpoint = record["SequenceNumber"]
            if ended:
                lease.checkpoint = SHARD_END
                return
            if not answer["Records"]:
                return
            iterator = answer["NextShardIterator"]

    def count(self):
        return sum(map(len, self.records.values()))
