"""Shows each event to the test and does what the test answers: returns its body, or raises it."""
import json
import os
import urllib.request

GENERATION = "1"


def handler(event, context):
    headers = {
        "request-id": context.aws_request_id,
        "invoked-arn": context.invoked_function_arn,
        "version": context.function_version,
        "generation": GENERATION,
    }
    body = json.dumps(event, ensure_ascii=False).encode()
    question = urllib.request.Request(os.environ["DIRECTOR"], body, headers, method="POST")
    with urllib.request.urlopen(question, timeout=60) as answer:
        text = answer.read().decode()
        if answer.headers["act"] == "raise":
            raise RuntimeError(text)
    return json.loads(text) if text else None
