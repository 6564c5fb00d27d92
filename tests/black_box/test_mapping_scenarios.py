"""The scenarios that were recorded at AWS, as they stand: documents, failed batches, partial failures, age, filters."""

import json
import re

import pytest

from mappings import Fail, Queue, describe, put, relay, update
from millstream import ACCOUNT, REGION, until
from test_queues import let_in

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SHARD = "shardId-000000000000"


def function_arn(name):
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def fail(_):
    raise Fail("this handler raises")


def ordered(text):
    """The members of a JSON document in their order, all the way down."""
    return json.loads(text, object_pairs_hook=lambda pairs: pairs)


def check_document(text, function, stream_arn, sequence_number, condition, count, response, with_event=False):
    """Exactly the members that were recorded, in the order that was recorded. Returns the document."""
    document = json.loads(text)
    request_id = document["requestContext"]["requestId"]
    assert UUID.fullmatch(request_id)
    batch = document["KinesisBatchInfo"]
    moments = [document["timestamp"], batch["approximateArrivalOfFirstRecord"], batch["approximateArrivalOfLastRecord"]]
    assert all(MOMENT.fullmatch(moment) for moment in moments), moments
    expected = {
        "requestContext": {
            "requestId": request_id, "functionArn": function_arn(function), "condition": condition,
            "approximateInvokeCount": count,
        },
        **({"responseContext": response} if response else {}),
        "version": "1.0",
        "timestamp": moments[0],
        "KinesisBatchInfo": {
            "shardId": SHARD, "startSequenceNumber": sequence_number, "endSequenceNumber": sequence_number,
            "approximateArrivalOfFirstRecord": moments[1], "approximateArrivalOfLastRecord": moments[2],
            "batchSize": 1, "streamArn": stream_arn,
        },
        **({"payload": document["payload"]} if with_event else {}),
    }
    assert ordered(text) == ordered(json.dumps(expected))
    return document


UNHANDLED = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
REPORTED = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": None}
RAISING = {"BatchSize": 1, "MaximumBatchingWindowInSeconds": 1, "MaximumRetryAttempts": 1}


def test_a_new_mapping_has_the_recorded_document_and_takes_ten_records_as_one_batch(server, director):
    relay(server, director)
    arn = server.stream("s")
    functions = server.client("lambda")
    created = functions.create_event_source_mapping(FunctionName="f", EventSourceArn=arn, StartingPosition="LATEST")
    assert created.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    uuid, modified = created["UUID"], created["LastModified"]
    assert UUID.fullmatch(uuid) and modified.microsecond % 1000 == 0
    assert created == {
        "UUID": uuid, "EventSourceMappingArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{uuid}",
        "EventSourceArn": arn, "FunctionArn": function_arn("f"), "StartingPosition": "LATEST", "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0, "ParallelizationFactor": 1, "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1, "BisectBatchOnFunctionError": False, "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": [], "DestinationConfig": {"OnFailure": {}}, "LastModified": modified,
        "LastProcessingResult": "No records processed", "State": "Creating", "StateTransitionReason": "User action",
    }
    server.mapping_state(uuid, "Enabled")
    put(server, "s", range(10))
    (batch,) = director.wait_for("f", 1)
    assert batch.numbers == list(range(10))
    until(lambda: describe(server, uuid)["LastProcessingResult"] == "OK", what="the result")
    found = describe(server, uuid)
    assert found.pop("LastModified") >= created.pop("LastModified")
    assert found == {**created, "State": "Enabled", "LastProcessingResult": "OK"}


def test_a_queue_gets_what_failed(server, director):
    queue = Queue(server)
    director.decide = fail
    relay(server, director, policies=[queue.policy])
    arn = server.stream("s")
    server.mapping("f", arn, DestinationConfig=queue.destination, **RAISING)
    (sequence_number,) = put(server, "s", ["poison"])
    queue.wait_for(1)
    check_document(queue.bodies[0], "f", arn, sequence_number, "RetryAttemptsExhausted", 2, UNHANDLED)
    assert [i.sequence_numbers for i in director.of("f")] == [[sequence_number]] * 2
    director.decide = lambda _: None
    put(server, "s", ["good"])
    assert director.wait_for("f", 3)[2].data == ["good"]
    assert len(queue.receive()) == 1


def test_a_topic_gets_what_failed(server, director):
    queue = Queue(server)
    sns = server.client("sns")
    topic = sns.create_topic(Name="failures")["TopicArn"]
    let_in(queue.client, queue.url, topic)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    director.decide = fail
    relay(server, director, policies=[("sns:Publish", topic)])
    arn = server.stream("s")
    server.mapping("f", arn, DestinationConfig={"OnFailure": {"Destination": topic}}, **RAISING)
    (sequence_number,) = put(server, "s", ["poison"])
    (notification,) = queue.wait_for(1)
    assert (notification["Type"], notification["TopicArn"]) == ("Notification", topic)
    check_document(notification["Message"], "f", arn, sequence_number, "RetryAttemptsExhausted", 2, UNHANDLED)


def test_a_bucket_gets_what_failed_with_its_event(server, director):
    s3 = server.client("s3")
    s3.create_bucket(Bucket="failures", CreateBucketConfiguration={"LocationConstraint": REGION})
    bucket = "arn:aws:s3:::failures"
    director.decide = fail
    relay(server, director, policies=[("s3:PutObject", f"{bucket}/*"), ("s3:ListBucket", bucket)])
    arn = server.stream("s")
    uuid = server.mapping("f", arn, DestinationConfig={"OnFailure": {"Destination": bucket}}, **RAISING)
    (sequence_number,) = put(server, "s", ["poison"])
    (found,) = until(lambda: s3.list_objects_v2(Bucket="failures").get("Contents"), what="an object")
    text = s3.get_object(Bucket="failures", Key=found["Key"])["Body"].read().decode()
    exhausted = ("RetryAttemptsExhausted", 2, UNHANDLED)
    document = check_document(text, "f", arn, sequence_number, *exhausted, with_event=True)
    date, time = document["timestamp"][:-5].split("T")
    place = f"aws/lambda/{uuid}/{SHARD}/{date.replace('-', '/')}/{date}T{time.replace(':', '.')}-"
    assert found["Key"].startswith(place) and UUID.fullmatch(found["Key"].removeprefix(place)), found["Key"]
    assert isinstance(document["payload"], str), "the event is a text within the document"
    assert ordered(document["payload"]) == ordered(director.of("f")[0].text)


FAILURE_FORMS = {
    "an empty id": {"batchItemFailures": [{"itemIdentifier": ""}]},
    "a null id": {"batchItemFailures": [{"itemIdentifier": None}]},
    "another key": {"batchItemFailures": [{"foo": 123}]},
    "another key with null": {"batchItemFailures": [{"foo": None}]},
    "a number": {"batchItemFailures": [{"itemIdentifier": 123}]},
    "an exception": Fail("this handler raises"),
}
REPORTING = {
    "BatchSize": 1, "MaximumBatchingWindowInSeconds": 1, "MaximumRetryAttempts": 2,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
}


def reporting(server, director, name, answer, language="python"):
    """A function that always gives this answer, with a mapping to a stream and a queue of the same name."""
    def decide(_):
        if isinstance(answer, Fail):
            raise answer
        return answer

    director.decide = decide
    queue = Queue(server, name)
    relay(server, director, name, language, policies=[queue.policy])
    arn = server.stream(name)
    uuid = server.mapping(name, arn, DestinationConfig=queue.destination, **REPORTING)
    return queue, arn, uuid


@pytest.mark.parametrize("form", FAILURE_FORMS)
def test_answers_that_report_a_failure(shared, director, form):
    name = "failure-" + form.replace(" ", "-")
    queue, arn, _ = reporting(shared, director, name, FAILURE_FORMS[form])
    (sequence_number,) = put(shared, name, ["poison"])
    queue.wait_for(1)
    response = UNHANDLED if form == "an exception" else REPORTED
    check_document(queue.bodies[0], name, arn, sequence_number, "RetryAttemptsExhausted", 3, response)
    assert [i.sequence_numbers for i in director.of(name)] == [[sequence_number]] * 3


SUCCESS_FORMS = {
    "an empty text": "",
    "an empty list": [],
    "null": None,
    "an empty object": {},
    "no failures": {"batchItemFailures": []},
    "null failures": {"batchItemFailures": None},
}


@pytest.mark.parametrize("form", SUCCESS_FORMS)
def test_answers_that_report_success(shared, director, form):
    name = "success-" + form.replace(" ", "-")
    language = "node" if form in ("an empty list", "null failures") else "python"
    queue, _, uuid = reporting(shared, director, name, SUCCESS_FORMS[form], language)
    put(shared, name, ["good"])
    director.wait_for(name, 1)
    until(lambda: describe(shared, uuid)["LastProcessingResult"] == "OK", what="the result")
    # The shard goes on to the next record only when the first one is done with.
    put(shared, name, ["next"])
    director.wait_for(name, 2)
    assert [i.data for i in director.of(name)] == [["good"], ["next"]]
    assert queue.receive() == []


def test_six_records_of_which_the_last_fails(server, director):
    """Recorded: the retries begin anew after partial progress, so the failing record comes five times."""
    def decide(invocation):
        poison = [n for n, d in zip(invocation.sequence_numbers, invocation.data) if d == "5"]
        return {"batchItemFailures": [{"itemIdentifier": number} for number in poison]}

    director.decide = decide
    queue = Queue(server)
    relay(server, director, policies=[queue.policy])
    arn = server.stream("s")
    numbers = put(server, "s", range(6))
    server.mapping(
        "f", arn, BatchSize=3, MaximumRetryAttempts=3, DestinationConfig=queue.destination,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    queue.wait_for(1)
    check_document(queue.bodies[0], "f", arn, numbers[5], "RetryAttemptsExhausted", 4, REPORTED)
    assert [i.numbers for i in director.of("f")] == [[0, 1, 2], [3, 4, 5], [5], [5], [5], [5]]


def test_records_that_become_too_old_while_they_are_retried(frozen, director):
    director.decide = fail
    queue = Queue(frozen)
    relay(frozen, director, policies=[queue.policy])
    arn = frozen.stream("s")
    frozen.mapping(
        "f", arn, BatchSize=1, MaximumBatchingWindowInSeconds=1, MaximumRetryAttempts=-1,
        MaximumRecordAgeInSeconds=60, DestinationConfig=queue.destination,
    )
    (sequence_number,) = put(frozen, "s", ["poison"])
    assert frozen.clock.advance_clock(Seconds=59)["Reached"]
    assert queue.receive() == [], "not yet too old"
    assert frozen.clock.advance_clock(Seconds=2)["Reached"]
    queue.wait_for(1)
    check_document(queue.bodies[0], "f", arn, sequence_number, "RecordAgeExceeded", 8, None)
    invoked = len(director.of("f"))
    assert invoked in (7, 8), "the look that found it too old is counted as well"
    director.decide = lambda _: None
    put(frozen, "s", ["good"])
    frozen.clock.advance_clock(Seconds=5)
    assert [i.data for i in director.of("f")[invoked:]] == [["good"]]
    assert len(queue.receive()) == 1


def test_records_that_are_too_old_when_they_are_read_first(frozen, director):
    queue = Queue(frozen)
    relay(frozen, director, policies=[queue.policy])
    arn = frozen.stream("s")
    (sequence_number,) = put(frozen, "s", ["old"])
    frozen.clock.advance_clock(Seconds=60)
    frozen.mapping(
        "f", arn, MaximumRetryAttempts=0, MaximumRecordAgeInSeconds=60, DestinationConfig=queue.destination,
    )
    queue.wait_for(1)
    check_document(queue.bodies[0], "f", arn, sequence_number, "RecordAgeExceeded", 1, None)
    assert director.of("f") == []


def test_a_batch_of_which_one_record_is_too_old(frozen, director):
    queue = Queue(frozen)
    relay(frozen, director, policies=[queue.policy])
    arn = frozen.stream("s")
    (sequence_number,) = put(frozen, "s", ["old"])
    frozen.clock.advance_clock(Seconds=80)
    put(frozen, "s", range(5))
    frozen.mapping(
        "f", arn, BatchSize=10, MaximumRetryAttempts=0, MaximumRecordAgeInSeconds=60,
        DestinationConfig=queue.destination,
    )
    queue.wait_for(1)
    check_document(queue.bodies[0], "f", arn, sequence_number, "RecordAgeExceeded", 1, None)
    (batch,) = director.wait_for("f", 1)
    assert batch.numbers == list(range(5))


def test_two_functions_with_filters_on_one_stream(server, director):
    arn = server.stream("s")
    role = server.role()
    for name, language in [("function_1", "python"), ("function_2", "node")]:
        relay(server, director, name, language, role)
        pattern = json.dumps({"data": {"event_type": [name]}})
        uuid = server.mapping(name, arn, FilterCriteria={"Filters": [{"Pattern": pattern}]})
        assert describe(server, uuid)["FilterCriteria"] == {"Filters": [{"Pattern": pattern}]}
    events = [
        json.dumps({"event_type": kind, "number": number})
        for number, kind in enumerate(["function_1", "function_2", "function_3", "function_2", "function_1"])
    ]
    put(server, "s", events)
    put(server, "s", [json.dumps({"event_type": f"function_{i}", "number": "last"}) for i in (1, 2)])
    for name in ("function_1", "function_2"):
        until(lambda: any("last" in data for data in director.delivered(name)), what="the last record")
        wanted = [event for event in events if name in event]
        assert director.delivered(name)[:-1] == wanted


def test_a_compiled_function_with_an_empty_response(server, director):
    director.decide = lambda _: b""
    relay(server, director, language="rust")
    uuid = server.mapping("f", server.stream("s"), MaximumBatchingWindowInSeconds=1, MaximumRetryAttempts=2)
    put(server, "s", ["one"])
    until(lambda: describe(server, uuid)["LastProcessingResult"] == "OK", what="the result")
    server.wait_for_log("f", "REPORT RequestId: ")
    put(server, "s", ["two"])
    director.wait_for("f", 2)
    assert [i.data for i in director.of("f")] == [["one"], ["two"]]
    reports = lambda: [line for line in server.log_lines("f") if line.startswith("REPORT RequestId: ")]  # noqa: E731
    until(lambda: len(reports()) == 2, what="one REPORT line for each")


def test_a_disabled_mapping_invokes_nothing(server, director):
    arn = server.stream("s")
    role = server.role()
    for name in ("disabled", "other"):
        relay(server, director, name, role=role)
    server.mapping("other", arn)
    uuid = server.mapping("disabled", arn)
    put(server, "s", ["before"])
    director.wait_for("disabled", 1)
    answer = server.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=False)
    assert (answer["State"], answer["StateTransitionReason"]) == ("Disabling", "User action")
    server.mapping_state(uuid, "Disabled")
    for text in ("one", "two", "three"):
        put(server, "s", [text])
        until(lambda: text in director.delivered("other"), what="the same record through the other mapping")
    assert director.delivered("disabled") == ["before"]
    update(server, uuid, Enabled=True)
    until(lambda: len(director.delivered("disabled")) == 4, what="what came while it was disabled")
    assert director.delivered("disabled") == ["before", "one", "two", "three"]


def test_a_mapping_outlives_its_function(server, director):
    relay(server, director, role=server.role())
    arn = server.stream("s")
    uuid = server.mapping("f", arn)
    put(server, "s", ["before"])
    director.wait_for("f", 1)
    server.client("lambda").delete_function(FunctionName="f")
    put(server, "s", ["orphan"])
    until(lambda: describe(server, uuid)["LastProcessingResult"].startswith("PROBLEM: "), what="a visible problem")
    assert describe(server, uuid)["State"] == "Enabled"
    relay(server, director, role=f"arn:aws:iam::{ACCOUNT}:role/lambda-kinesis-role")
    director.wait_for("f", 2)
    assert [i.data for i in director.of("f")] == [["before"], ["orphan"]], "a function of the same name takes over"
    until(lambda: describe(server, uuid)["LastProcessingResult"] == "OK", what="the result")
    functions = server.client("lambda")
    assert functions.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
