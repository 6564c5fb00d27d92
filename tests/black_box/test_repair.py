"""A flipped bit on disk: named, contained, and given up only when the operator says so."""

import json
import subprocess
import urllib.request

import botocore.exceptions

from millstream import BINARY, Server, until


def payload(number):
    return f"record {number:03} ".encode() * 800


def read_all(server, stream):
    """What can be read from the oldest record on, and the error that ended it, if one did."""
    kinesis, found = server.client("kinesis"), []
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId="0", ShardIteratorType="TRIM_HORIZON")
    iterator = iterator["ShardIterator"]
    while True:
        try:
            page = kinesis.get_records(ShardIterator=iterator, Limit=10)
        except botocore.exceptions.ClientError as error:
            return found, str(error)
        found += [record["Data"] for record in page["Records"]]
        iterator = page["NextShardIterator"]
        if page["MillisBehindLatest"] == 0:
            return found, None


def health(server):
    return urllib.request.urlopen(f"{server.endpoint}/health/ready", timeout=5).read().decode()


def repair(server, *arguments):
    folder = str(server.folder / "data")
    return subprocess.run(
        [BINARY, "repair", "--data-dir", folder, "--json", *arguments], capture_output=True, text=True, timeout=60
    )


def test_a_flipped_bit_damages_only_what_it_hit(tmp_path):
    server = Server(tmp_path).start()
    for stream in ("hit", "whole"):
        server.stream(stream)
        for number in range(100):
            server.client("kinesis").put_record(StreamName=stream, PartitionKey=stream, Data=payload(number))
    server.stop()
    assert json.loads(repair(server).stdout)["damaged"] == []
    # The fiftieth record of the first stream.
    for path in sorted((server.folder / "data" / "log").rglob("*.log")):
        content = bytearray(path.read_bytes())
        at = content.find(payload(50))
        if at >= 0:
            content[at + 2000] ^= 4
            path.write_bytes(content)
            break
    else:
        raise AssertionError("the record is in no file")

    server.start()
    everything = [payload(number) for number in range(100)]
    assert read_all(server, "whole") == (everything, None)
    found, error = read_all(server, "hit")
    assert found == everything[: len(found)] and 40 <= len(found) <= 50
    assert "damaged" in error
    until(lambda: "degraded" in health(server), what="degraded health")
    # Everything else goes on, in that shard too.
    server.client("kinesis").put_record(StreamName="hit", PartitionKey="hit", Data=payload(100))
    refused = repair(server)
    assert refused.returncode != 0 and "data" in refused.stderr, "a running server keeps its folder"
    server.stop()

    listed = repair(server)
    assert listed.returncode != 0
    (range_,) = json.loads(listed.stdout)["damaged"]
    assert range_["shard"] == "hit/shardId-000000000000" and range_["first"] <= 50 <= range_["last"]
    accepted = repair(server, "--accept-loss", "hit/shardId-000000000000")
    assert accepted.returncode == 0, accepted.stderr
    lost = set(range(range_["first"], range_["last"] + 1))
    server.start()
    assert read_all(server, "hit") == ([payload(n) for n in range(101) if n not in lost], None)
    assert "degraded" not in health(server)
    server.stop()
