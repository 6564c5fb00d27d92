"""The commands a person types: demo, bench, and the refusals of serve."""

import json
import re
import signal
import subprocess
import time

import pytest

from millstream import BINARY, Server, free_port


def millstream(*arguments, folder, timeout=90):
    return subprocess.run(
        [BINARY, *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("language", [None, "python", "node", "compiled"])
def test_the_demo_shows_the_pipeline_and_ends_by_itself(tmp_path, language):
    wish = ["--language", language] if language else []
    done = millstream("demo", "--records", "12", "--rate", "20", *wish, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    assert "failed: record 7 is not ready (attempt 1); the batch is retried" in shown
    assert "failed: record 7 is not ready (attempt 2); the batch is retried" in shown
    batches = re.findall(r"(\d+) records?, #\d+.*? ms +\d+$", shown, re.M)
    assert sum(map(int, batches)) == 12, shown
    assert "Try next" in shown
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_the_demo_stops_cleanly_on_an_interrupt(tmp_path):
    process = subprocess.Popen([BINARY, "demo"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    shown = ""
    while " ms " not in shown:
        line = process.stdout.readline()
        assert line, shown
        shown += line
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0, shown + rest
    assert "Try next" in rest


def test_the_demo_takes_a_folder_again(tmp_path):
    for _ in range(2):
        done = millstream("demo", "--records", "3", "--rate", "50", "--data-dir", "data", folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


def test_bench_put_counts_what_it_stored(tmp_path):
    done = millstream(
        "bench", "put", "--seconds", "1", "--connections", "2", "--shards", "4", "--records", "50", "--json",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["records"] > 0 and figures["failed"] == 0
    assert figures["bytes"] == figures["records"] * 1024
    assert figures["server_cpu_seconds"] > 0


def test_bench_get_reads_back_what_was_put(tmp_path):
    done = millstream(
        "bench", "get", "--seconds", "1", "--connections", "2", "--shards", "4", "--records", "50", "--readers", "2",
        "--json", folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["first"]["records"] == figures["second"]["records"] > 0


def test_bench_fanout_delivers_every_record_to_every_consumer(tmp_path):
    done = millstream(
        "bench", "fanout", "--seconds", "1", "--connections", "2", "--shards", "2", "--records", "50", "--rate", "2000",
        "--consumers", "3", "--json", folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["records"] > 0 and figures["records"] % 3 == 0
    assert figures["latency_p50_ms"] > 0


def test_bench_shards_measures_an_idle_server(tmp_path):
    done = millstream(
        "bench", "shards", "--shards", "50", "--mappings", "10", "--connections", "100", "--seconds", "1", "--json",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["mappings"] == 10
    assert figures["resident_bytes_with_connections"] > 0


@pytest.mark.parametrize("language", ["compiled", "python", "node"])
def test_bench_pipeline_sees_every_record_in_the_function(tmp_path, language):
    done = millstream(
        "bench", "pipeline", "--seconds", "1", "--connections", "2", "--shards", "2", "--records", "50",
        "--rate", "2000", "--language", language, folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "put → handler" in done.stdout and "0 failed" in done.stdout


def test_bench_pipeline_measures_many_mappings_that_catch_up(tmp_path):
    done = millstream(
        "bench", "pipeline", "--seconds", "1", "--connections", "2", "--records", "10", "--mappings", "20",
        "--batch-size", "10", "--backlog", "--json", folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["records"] > 0 and figures["failed"] == 0
    assert figures["batches"] >= figures["records"] / 10
    assert figures["server_cpu_micros_per_batch"] > 0


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        (["--auth", "enforce"], "not available in this version"),
        (["--listen", "0.0.0.0:0"], "--allow-open-network"),
        (["--ephemeral", "--data-dir", "x"], "--ephemeral"),
        (["--config", "missing.toml"], "missing.toml"),
    ],
)
def test_serve_refuses_what_it_cannot_do_and_says_why(tmp_path, flags, hint):
    done = millstream("serve", *flags, folder=tmp_path)
    assert done.returncode != 0
    assert hint in done.stderr


def test_unknown_keys_of_the_configuration_are_errors(tmp_path):
    (tmp_path / "millstream.toml").write_text('lissten = "127.0.0.1:0"\n')
    done = millstream("serve", "--config", "millstream.toml", folder=tmp_path)
    assert done.returncode != 0 and "lissten" in done.stderr


def test_two_servers_do_not_share_a_folder(server):
    port = free_port()
    second = millstream(
        "serve", "--listen", f"127.0.0.1:{port}", "--data-dir", str(server.folder / "data"), folder=server.folder
    )
    assert second.returncode != 0
    assert "data" in second.stderr


def test_a_stop_under_way_finishes_what_was_acknowledged(tmp_path):
    server = Server(tmp_path).start()
    server.stream("kept")
    kinesis = server.client("kinesis")
    numbers = [kinesis.put_record(StreamName="kept", PartitionKey="k", Data=b"%d" % n)["SequenceNumber"] for n in range(20)]
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 15
    server.start()
    kinesis = server.client("kinesis")
    iterator = kinesis.get_shard_iterator(
        StreamName="kept", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    assert [r["SequenceNumber"] for r in kinesis.get_records(ShardIterator=iterator)["Records"]] == numbers
    server.stop()


def test_doctor_and_env_speak_to_people(server):
    doctor = millstream("doctor", folder=server.folder)
    assert doctor.returncode == 0, doctor.stderr
    assert "python" in doctor.stdout.lower() and "isolation" in doctor.stdout.lower()
    environment = millstream("env", folder=server.folder)
    assert environment.returncode == 0
    assert "export AWS_ENDPOINT_URL=" in environment.stdout
