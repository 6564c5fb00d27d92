"""Signs and sends one STS or Kinesis request with the credentials named in the event; standard library only."""
import datetime
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def call(endpoint, service, headers, body, key, secret, token):
    region = os.environ["AWS_REGION"]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host = endpoint.split("//")[1].rstrip("/")
    headers = {**headers, "host": host, "x-amz-date": now}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["POST", "/", ""]
        + [f"{name}:{headers[name]}" for name in sorted(headers)]
        + ["", names, hashlib.sha256(body).hexdigest()]
    )
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = sign(sign(sign(sign(b"AWS4" + secret.encode(), now[:8]), region), service), "aws4_request")
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    request = urllib.request.Request(endpoint, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}
    except OSError as error:
        return {"status": 0, "body": str(error)}


def handler(event, context):
    if event.get("show"):
        names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"]
        return {name: os.environ[name] for name in names}
    endpoint = event.get("endpoint") or os.environ["AWS_ENDPOINT_URL"]
    key = event.get("key") or os.environ["AWS_ACCESS_KEY_ID"]
    secret = event.get("secret") or os.environ["AWS_SECRET_ACCESS_KEY"]
    token = event["token"] if "token" in event else os.environ["AWS_SESSION_TOKEN"]
    if event["call"] == "identity":
        body = b"Action=GetCallerIdentity&Version=2011-06-15"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return call(endpoint, "sts", headers, body, key, secret, token)
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "Kinesis_20131202." + event["call"],
    }
    return call(endpoint, "kinesis", headers, json.dumps(event["input"]).encode(), key, secret, token)
