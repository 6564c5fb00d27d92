"""Functions whose every invocation is decided by the test, and what it takes to map streams to them."""

import base64
import contextlib
import dataclasses
import http.server
import json
import os
import pathlib
import threading
import time

from collector import listening
from millstream import until

FUNCTIONS = pathlib.Path(__file__).parent / "functions"
LANGUAGES = ("python", "node", "rust")


class Fail(Exception):
    """What a test's decision raises to make the function raise it."""


@dataclasses.dataclass
class Invocation:
    """One invocation as the function saw it."""

    function: str
    invoked_arn: str
    version: str
    generation: str
    request_id: str
    event: dict
    text: str
    began: float
    ended: float | None = None
    failed: bool = False
    answer: object = None

    @property
    def records(self):
        return [record["kinesis"] for record in self.event["Records"]]

    @property
    def data(self):
        return [base64.b64decode(record["data"]).decode() for record in self.records]

    @property
    def numbers(self):
        return [int(data) for data in self.data]

    @property
    def keys(self):
        return [record["partitionKey"] for record in self.records]

    @property
    def sequence_numbers(self):
        return [record["sequenceNumber"] for record in self.records]

    @property
    def shard(self):
        return self.event["Records"][0]["eventID"].split(":")[0]


class Director:
    """Answers the functions of `functions/relay.*`: each asks what to do, and waits.

    `decide` takes the invocation and returns what the function shall return (bytes go to the runtime as they are, if
    the function is the compiled one), or raises [Fail]. While it waits, the invocation is in flight: a test needs no
    sleep to have a slow function.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.all = []
        self.decide = lambda invocation: None
        self.url = None

    def of(self, function):
        with self.lock:
            return [invocation for invocation in self.all if invocation.function == function]

    def delivered(self, function):
        """The data of all records of all invocations that succeeded, in the order in which they ended."""
        done = [i for i in self.of(function) if i.ended and not i.failed]
        return [data for invocation in sorted(done, key=lambda i: i.ended) for data in invocation.data]

    def wait_for(self, function, count, seconds=30.0):
        """The invocations of a function, once there are `count` that have ended."""
        ended = lambda: [i for i in self.of(function) if i.ended]  # noqa: E731
        until(lambda: len(ended()) >= count, seconds, f"{count} invocations of {function}")
        return self.of(function)

    def take(self, headers, text):
        arn = headers["invoked-arn"]
        invocation = Invocation(
            arn.split(":")[6], arn, headers["version"], headers["generation"], headers["request-id"],
            json.loads(text), text, time.monotonic(),
        )
        with self.lock:
            self.all.append(invocation)
        try:
            answer = invocation.answer = self.decide(invocation)
            act, body = "return", answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        except Fail as failure:
            act, body = "raise", str(failure).encode()
        with self.lock:
            invocation.failed, invocation.ended = act == "raise", time.monotonic()
        return act, body


@contextlib.contextmanager
def directing():
    director = Director()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            act, body = director.take(self.headers, self.rfile.read(length).decode())
            self.send_response(200)
            self.send_header("act", act)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with listening(Handler) as director.url:
        yield director


def code(language, generation=1):
    """The files of a relaying function."""
    if language == "rust":
        program = pathlib.Path(os.environ["MILLSTREAM_TEST_RUST_RELAY"]).read_bytes()
        return {"bootstrap": (program, 0o755)}
    name = {"python": "relay.py", "node": "relay.js"}[language]
    quote = {"python": '"', "node": "'"}[language]
    text = (FUNCTIONS / name).read_text()
    return {name: text.replace(f"GENERATION = {quote}1{quote}", f"GENERATION = {quote}{generation}{quote}")}


RUNTIMES = {"python": "python3.11", "node": "nodejs20.x", "rust": "provided.al2023"}


def relay(server, director, name="f", language="python", role=None, policies=(), **more):
    """A function that asks the director, with a role of its own that may also do what `policies` allow."""
    if role is None:
        role = server.role(f"{name}-role")
        for index, (action, resource) in enumerate(policies):
            allow(server, f"{name}-role", f"policy-{index}", action, resource)
    environment = {"Variables": {"DIRECTOR": director.url}}
    server.function(
        name, code(language), role, runtime=RUNTIMES[language], handler="relay.handler", Environment=environment,
        Timeout=60, **more,
    )
    return name


def allow(server, role, policy, action, resource):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    server.client("iam").put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=document)


def put(server, stream, texts, key="k"):
    """Puts records with one call; `key` may be a function of the text. Returns their sequence numbers."""
    key_of = key if callable(key) else lambda _: key
    records = [{"PartitionKey": key_of(text), "Data": str(text).encode()} for text in texts]
    answer = server.client("kinesis").put_records(StreamName=stream, Records=records)
    assert answer["FailedRecordCount"] == 0
    return [record["SequenceNumber"] for record in answer["Records"]]


def describe(server, uuid):
    found = server.client("lambda").get_event_source_mapping(UUID=uuid)
    found.pop("ResponseMetadata")
    return found


def update(server, uuid, state="Enabled", **changes):
    """Changes a mapping and waits until the change is in effect."""
    server.client("lambda").update_event_source_mapping(UUID=uuid, **changes)
    server.mapping_state(uuid, state)
    return describe(server, uuid)


class Queue:
    """A queue that collects failed batches."""

    def __init__(self, server, name="failures"):
        self.client = server.client("sqs", read_timeout=30)
        self.url = self.client.create_queue(QueueName=name)["QueueUrl"]
        attributes = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = attributes["Attributes"]["QueueArn"]
        self.destination = {"OnFailure": {"Destination": self.arn}}
        self.policy = ("sqs:SendMessage", self.arn)
        self.bodies = []

    def receive(self):
        """What came until now."""
        answer = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            self.bodies.append(message["Body"])
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self.bodies

    def wait_for(self, count, seconds=30.0):
        until(lambda: len(self.receive()) >= count, seconds, f"{count} failed batches in the queue")
        return [json.loads(body) for body in self.bodies]
