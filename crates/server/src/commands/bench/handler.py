"""The benchmark's function: counts records, and the time from put to handler as each record's first bytes tell it."""
import base64
import json
import time


def handler(event, context):
    now = time.time_ns() // 1000
    counts = {}
    for record in event["Records"]:
        # Twelve characters hold the eight bytes of the time of the put, and one more.
        put_at = int.from_bytes(base64.b64decode(record["kinesis"]["data"][:12])[:8], "little")
        at = bucket(max(now - put_at, 0))
        counts[at] = counts.get(at, 0) + 1
    print("bench " + json.dumps({"records": len(event["Records"]), "latencies": {"buckets": counts}}))


def bucket(micros):
    """As the histogram of `millstream bench` counts: sixteen buckets for each power of two."""
    shift = (micros | 16).bit_length() - 5
    return shift * 16 + (micros >> shift)
