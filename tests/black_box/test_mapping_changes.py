"""What happens to a mapping and around it while it works: nothing is lost, order holds, new values count."""

import collections
import contextlib
import json
import random
import threading

import pytest

from mappings import LANGUAGES, Fail, code, describe, put, relay, update
from millstream import ACCOUNT, REGION, until, zipped
from test_resharding import Producers, reshard, wait_active


class Numbers:
    """Puts numbered records of some keys, one call after the other, as long as the test is in its block."""

    def __init__(self, server, stream, keys=6):
        self.server, self.stream, self.count = server, stream, 0
        self.keys = [f"key-{i}" for i in range(keys)]
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopped.wait(0.01):
            put(self.server, self.stream, [f"{key}:{self.count}" for key in self.keys], lambda text: text.split(":")[0])
            self.count += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(30)

    def wait_all(self, director, function="f", seconds=60):
        wanted = len(self.keys) * self.count
        until(lambda: len(set(director.delivered(function))) >= wanted, seconds, f"all {wanted} records")
        check_order(director.of(function), self.count, self.keys)


def check_order(invocations, count, keys):
    """The first deliveries of each key's records are in order and complete."""
    seen = collections.defaultdict(list)
    for invocation in sorted(invocations, key=lambda i: i.began):
        for data in invocation.data:
            key, number = data.rsplit(":", 1)
            if int(number) not in seen[key]:
                seen[key].append(int(number))
    assert seen == {key: list(range(count)) for key in keys}


CHANGES = {
    "BatchSize": 7,
    "MaximumBatchingWindowInSeconds": 1,
    "ParallelizationFactor": 4,
    "MaximumRecordAgeInSeconds": 3600,
    "MaximumRetryAttempts": 5,
    "BisectBatchOnFunctionError": True,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
    "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"partitionKey": [{"prefix": "key-"}]})}]},
    "DestinationConfig": {"OnFailure": {"Destination": f"arn:aws:sqs:{REGION}:{ACCOUNT}:failures"}},
    "MetricsConfig": {"Metrics": ["EventCount"]},
    "FunctionName": "other",
}
# The state of a window is that of its shard: windows and parallel lanes exclude each other.
LATER_CHANGES = {"ParallelizationFactor": 1, "TumblingWindowInSeconds": 30, "Enabled": False}


def echo(field, value):
    if field == "FunctionName":
        return "FunctionArn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{value}"
    return field, value


def test_every_field_changes_under_load_and_nothing_is_lost(server, director):
    director.decide = lambda invocation: {"state": {}}
    queue = ("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:failures")
    for name in ("f", "other"):
        relay(server, director, name, policies=[queue])
    uuid = server.mapping("f", server.stream("s"), BatchSize=20)
    functions = server.client("lambda")
    with Numbers(server, "s") as numbers:
        before = describe(server, uuid)
        for field, value in [*CHANGES.items(), *LATER_CHANGES.items()]:
            known = len(director.all)
            until(lambda: len(director.all) > known + 2, what="batches between two changes")
            answer = functions.update_event_source_mapping(UUID=uuid, **{field: value})
            member, new = echo(field, value)
            assert answer["State"] == ("Disabling" if field == "Enabled" else "Updating")
            assert answer.get(member) == before.get(member), "the answer shows what was"
            server.mapping_state(uuid, "Disabled" if field == "Enabled" else "Enabled")
            before, previous = describe(server, uuid), before
            if field == "Enabled":
                break
            assert before[member] == new
            assert before["LastModified"] >= previous["LastModified"]
            untouched = {"LastModified", "LastProcessingResult", member}
            assert {k: v for k, v in before.items() if k not in untouched} == {
                k: v for k, v in previous.items() if k not in untouched
            }
    known = len(director.all)
    put(server, "s", [f"{key}:{numbers.count}" for key in numbers.keys], lambda text: text.split(":")[0])
    numbers.count += 1
    update(server, uuid, Enabled=True, TumblingWindowInSeconds=0)
    delivered = lambda: set(director.delivered("f")) | set(director.delivered("other"))  # noqa: E731
    until(lambda: len(delivered()) >= len(numbers.keys) * numbers.count, 60, "all records")
    check_order([*director.of("f"), *director.of("other")], numbers.count, numbers.keys)
    assert all(i.function == "other" and len(i.records) <= 7 for i in director.all[known:])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_batch_size_counts_from_the_next_batch_on(shared, director, language):
    name = f"size-{language}"
    relay(shared, director, name, language, role=shared.role(name))
    arn = shared.stream(name)
    entered, opened = threading.Event(), threading.Event()

    def decide(_):
        entered.set()
        assert opened.wait(60)

    director.decide = decide
    put(shared, name, range(30))
    uuid = shared.mapping(name, arn, BatchSize=10)
    assert entered.wait(30)
    shared.client("lambda").update_event_source_mapping(UUID=uuid, BatchSize=4)
    opened.set()
    shared.mapping_state(uuid, "Enabled")
    until(lambda: len(set(director.delivered(name))) == 30, what="all records")
    batches = [i.numbers for i in director.of(name)]
    assert batches == [list(range(10)), *(list(range(n, n + 4)) for n in range(10, 30, 4))], "none twice, none missing"


def test_fewer_retries_end_a_batch_that_would_be_tried_for_ever(server, director):
    def decide(invocation):
        if 0 in invocation.numbers:
            raise Fail("for ever")

    director.decide = decide
    relay(server, director, role=server.role())
    arn = server.stream("s")
    put(server, "s", range(2))
    uuid = server.mapping("f", arn, BatchSize=1)
    director.wait_for("f", 2)
    update(server, uuid, MaximumRetryAttempts=2)
    known = len(director.of("f"))
    until(lambda: "1" in director.delivered("f"), what="the record after the failing one")
    tries = len([i for i in director.of("f") if i.numbers == [0]])
    assert 3 <= tries <= max(3, known + 1), "what is used up already gets one more try, which says why"


def test_disabled_in_the_middle_of_retries(server, director):
    broken = threading.Event()
    broken.set()

    def decide(invocation):
        if broken.is_set() and 0 in invocation.numbers:
            raise Fail("broken")

    director.decide = decide
    relay(server, director, role=server.role())
    arn = server.stream("s")
    put(server, "s", range(3))
    uuid = server.mapping("f", arn, MaximumRetryAttempts=20)
    director.wait_for("f", 2)
    update(server, uuid, "Disabled", Enabled=False)
    known = len(director.of("f"))
    put(server, "s", range(3, 6))
    broken.clear()
    update(server, uuid, Enabled=True)
    until(lambda: len(director.delivered("f")) >= 6, what="all records")
    batches = [i.numbers for i in director.of("f")]
    assert batches[:known] == [[0, 1, 2]] * known
    assert batches[known] == [0, 1, 2], "the batch is the one that failed before"
    assert [n for batch in batches[known:] for n in batch] == list(range(6))


@pytest.mark.parametrize("language", ["python", "node"])
def test_new_code_takes_over_under_load(shared, director, language):
    name = f"code-{language}"
    relay(shared, director, name, language, role=shared.role(name))
    shared.mapping(name, shared.stream(name), BatchSize=10)
    functions = shared.client("lambda")
    get = functions.get_function_configuration
    with Numbers(shared, name) as numbers:
        for generation in (2, 3):
            known = len(director.of(name))
            until(lambda: len(director.of(name)) > known + 2, what="batches before the change")
            functions.update_function_code(FunctionName=name, ZipFile=zipped(code(language, generation)))
            until(lambda: get(FunctionName=name)["LastUpdateStatus"] == "Successful", what="the new code")
            settled = len(director.of(name))
            # What was in flight when the code became the new one may still be the old one.
            until(lambda: len(director.of(name)) > settled + 3, what="batches after the change")
            assert {i.generation for i in director.of(name)[settled + 1:]} == {str(generation)}
    numbers.wait_all(director, name)
    assert len(director.delivered(name)) == len(numbers.keys) * numbers.count, "none twice"


def test_a_mapping_to_a_version_stays_with_it(server, director):
    relay(server, director, role=server.role())
    functions = server.client("lambda")
    functions.publish_version(FunctionName="f")
    version = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:1"
    uuid = server.mapping("f:1", server.stream("s"))
    assert describe(server, uuid)["FunctionArn"] == version
    functions.update_function_code(FunctionName="f", ZipFile=zipped(code("python", 2)))
    get = functions.get_function_configuration
    until(lambda: get(FunctionName="f")["LastUpdateStatus"] == "Successful", what="the new code")
    put(server, "s", ["one"])
    (invocation,) = director.wait_for("f", 1)
    assert (invocation.invoked_arn, invocation.version, invocation.generation) == (version, "1", "1")
    changed = update(server, uuid, FunctionName="f")
    assert changed["FunctionArn"] == version.removesuffix(":1")
    put(server, "s", ["two"])
    invocation = director.wait_for("f", 2)[1]
    assert (invocation.data, invocation.version, invocation.generation) == (["two"], "$LATEST", "2")


def test_a_stream_of_the_same_name_is_read_from_its_horizon(server, director):
    relay(server, director, role=server.role())
    arn = server.stream("s")
    uuid = server.mapping("f", arn, StartingPosition="LATEST")
    put(server, "s", ["old"])
    director.wait_for("f", 1)
    kinesis = server.client("kinesis")
    kinesis.delete_stream(StreamName="s")
    until(lambda: describe(server, uuid)["LastProcessingResult"].startswith("PROBLEM: "), what="a visible problem")
    assert describe(server, uuid)["State"] == "Enabled"
    kinesis.get_waiter("stream_not_exists").wait(StreamName="s", WaiterConfig={"Delay": 1})
    assert server.stream("s", shards=2) == arn
    put(server, "s", range(20), key=str)
    until(lambda: len(director.delivered("f")) >= 21, what="the records of the new stream")
    assert sorted(director.delivered("f")) == sorted(["old", *map(str, range(20))])
    until(lambda: describe(server, uuid)["LastProcessingResult"] == "OK", what="the result")


def test_a_role_that_is_revoked_while_lanes_work_and_one_fails(server, director):
    broken = threading.Event()
    broken.set()

    def decide(invocation):
        if broken.is_set() and any(data.startswith("key-0:") for data in invocation.data):
            raise Fail("broken")

    director.decide = decide
    relay(server, director, role=server.role("fickle"))
    uuid = server.mapping("f", server.stream("s"), ParallelizationFactor=3, BatchSize=5)
    iam = server.client("iam")
    policy = iam.list_attached_role_policies(RoleName="fickle")["AttachedPolicies"][0]["PolicyArn"]
    with Numbers(server, "s") as numbers:
        until(lambda: len(director.delivered("f")) > 30, what="batches of the other lanes")
        iam.detach_role_policy(RoleName="fickle", PolicyArn=policy)
        result = lambda: describe(server, uuid)["LastProcessingResult"]  # noqa: E731
        until(lambda: result().startswith("PROBLEM: Cannot access"), what="a visible problem")
        broken.clear()
        iam.attach_role_policy(RoleName="fickle", PolicyArn=policy)
        until(lambda: result() == "OK", what="recovery")
    numbers.wait_all(director)


def test_resharding_under_parallel_lanes(server, director):
    relay(server, director, role=server.role())
    server.mapping("f", server.stream("s", shards=2), ParallelizationFactor=4, BatchSize=10)
    kinesis, chance = server.client("kinesis"), random.Random(11)
    with Producers(server, "s") as producers:
        for _ in range(8):
            known = producers.count()
            with contextlib.suppress(kinesis.exceptions.LimitExceededException):
                reshard(kinesis, "s", chance)
            wait_active(kinesis, "s")
            until(lambda: producers.count() > known, what="records between two changes")
    acknowledged = {key: [data.decode() for _, data in records] for key, records in producers.acknowledged.items()}
    wanted = sum(map(len, acknowledged.values()))
    until(lambda: len(director.delivered("f")) >= wanted, 60, f"{wanted} records")
    seen = collections.defaultdict(list)
    for invocation in sorted(director.of("f"), key=lambda i: i.began):
        for key, data in zip(invocation.keys, invocation.data):
            seen[key].append(data)
    assert seen == acknowledged, "each once, and in the order of its key"
    assert len({i.shard for i in director.of("f")}) > 8
