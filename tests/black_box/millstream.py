"""Starts the built server and talks to it with real AWS clients."""

import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile

import boto3
import botocore.config

import operations_seen

BINARY = os.environ.get("MILLSTREAM_TEST_BINARY", "")
ACCOUNT = "123456789012"
REGION = "us-west-2"
KINESIS_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds=30.0, what="the condition"):
    """Asks `condition` until it gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


def zipped(files):
    """A zip of `{name: text or bytes or (text, mode)}`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            content, mode = content if isinstance(content, tuple) else (content, 0o644)
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


class Server:
    """A server process on a free port. `with Server(folder) as server:` stops it at the end."""

    def __init__(self, folder, *flags, data=True):
        assert BINARY, "MILLSTREAM_TEST_BINARY names the server binary; run the tests through `cargo xtask test`"
        self.folder = pathlib.Path(folder)
        self.flags = list(flags)
        self.data = data
        self.process = None
        self.port = free_port()
        self.log = self.folder / "server.log"

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        place = ["--data-dir", str(self.folder / "data")] if self.data else ["--ephemeral"]
        command = [BINARY, "serve", "--listen", f"127.0.0.1:{self.port}", *place, *self.flags]
        if "--log" not in self.flags:
            command += ["--log", "info,requests=debug"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until(self.is_ready, 30, f"readiness (log: {self.log})")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()}")
        try:
            with urllib.request.urlopen(f"{self.endpoint}/health/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(30) == 0, self.log.read_text()
            operations_seen.note(self.log.read_text())

    def kill(self):
        """kill -9, as a crash."""
        self.process.kill()
        self.process.wait(30)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is not None and self.process.poll() is None:
            sys.stderr.write(self.log.read_text()[-4000:])
            self.kill()
        else:
            self.stop()

    def client(self, service, key=ACCOUNT, secret="secret", region=REGION, token=None, **config):
        config.setdefault("retries", {"max_attempts": 0})
        return boto3.session.Session().client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=botocore.config.Config(**config),
        )

    def environment(self, **more):
        """What a person exports before using the AWS CLI; nothing of this machine's own AWS configuration is seen."""
        return {
            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_PAGER": "",
            **more,
        }

    def shell(self, command, check=True, **more):
        """Runs a command line as a person would, in this server's folder."""
        done = subprocess.run(
            ["sh", "-euc", command],
            cwd=self.folder, env=self.environment(**more), capture_output=True, text=True, timeout=60,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def role(self, name="lambda-kinesis-role", policies=(KINESIS_POLICY,)):
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        for policy in policies:
            iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        return arn

    def function(self, name, files, role, runtime="python3.11", handler="handler.handler", **more):
        functions = self.client("lambda")
        functions.create_function(
            FunctionName=name, Runtime=runtime, Handler=handler, Role=role, Code={"ZipFile": zipped(files)}, **more
        )
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    def stream(self, name, shards=1):
        kinesis = self.client("kinesis")
        kinesis.create_stream(StreamName=name, ShardCount=shards)
        summary = until(
            lambda: active(kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]),
            what=f"stream {name} ACTIVE",
        )
        return summary["StreamARN"]

    def mapping(self, function, stream_arn, **settings):
        functions = self.client("lambda")
        settings.setdefault("StartingPosition", "TRIM_HORIZON")
        uuid = functions.create_event_source_mapping(
            FunctionName=function, EventSourceArn=stream_arn, **settings
        )["UUID"]
        self.mapping_state(uuid, "Enabled")
        return uuid

    def mapping_state(self, uuid, state):
        functions = self.client("lambda")
        return until(
            lambda: functions.get_event_source_mapping(UUID=uuid)["State"] == state, what=f"mapping {uuid} {state}"
        )

    def log_lines(self, function):
        """All messages of a function's log group so far."""
        logs = self.client("logs")
        messages, token = [], {}
        while True:
            try:
                page = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", **token)
            except logs.exceptions.ResourceNotFoundException:
                return []
            messages += [event["message"] for event in page["events"]]
            if "nextToken" not in page:
                return messages
            token = {"nextToken": page["nextToken"]}

    def wait_for_log(self, function, text, seconds=30.0):
        return until(
            lambda: next((line for line in self.log_lines(function) if text in line), None),
            seconds, f"{text!r} in the log of {function}; server log: {self.log}",
        )


def active(summary):
    return summary if summary["StreamStatus"] == "ACTIVE" else None
