"""The demo's function: reports each batch as one JSON line; one record fails twice before it succeeds."""
import base64
import json
import time

attempts = {}


def handler(event, context):
    now = time.time()
    records = [json.loads(base64.b64decode(r["kinesis"]["data"])) for r in event["Records"]]
    for record in records:
        if record.get("fails", 0) > attempts.setdefault(record["number"], 0):
            attempts[record["number"]] += 1
            report("failed", event, records, now, record["number"], attempts[record["number"]])
            raise RuntimeError("record %d is not ready yet" % record["number"])
    report("done", event, records, now, None, None)


def report(outcome, event, records, now, culprit, attempt):
    print(
        "demo "
        + json.dumps(
            {
                "run": records[0]["run"],
                "outcome": outcome,
                "shard": event["Records"][0]["eventID"].split(":")[0],
                "numbers": [r["number"] for r in records],
                "latencies_ms": [round((now - r["put_at"]) * 1000, 3) for r in records],
                "culprit": culprit,
                "attempt": attempt,
            }
        )
    )
