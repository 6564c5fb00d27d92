"""What web pages, foreign keys and functions cannot do."""

import http.client
import json
import pathlib

import botocore.exceptions
import pytest

FUNCTIONS = pathlib.Path(__file__).parent / "functions"
PUT_ALLOWED = "arn:aws:iam::aws:policy/AmazonKinesisFullAccess"


def request(server, method="POST", headers=None, body=b"{}"):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    defaults = {
        "Host": f"127.0.0.1:{server.port}",
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "Kinesis_20131202.ListStreams",
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-west-2/kinesis/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
    }
    connection.request(method, "/", body, {**defaults, **(headers or {})})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_local_request_is_served_and_a_web_page_is_not(server):
    assert request(server)[0] == 200
    assert request(server, headers={"Host": f"localhost:{server.port}"})[0] == 200
    for headers in [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": f"rebound.example:{server.port}"},
    ]:
        assert request(server, headers=headers)[0] == 403, headers
        assert request(server, "OPTIONS", headers={**headers, "Access-Control-Request-Method": "POST"})[0] == 403


def test_a_refused_page_changes_nothing(server):
    body = json.dumps({"StreamName": "from-a-page", "ShardCount": 1}).encode()
    target = {"X-Amz-Target": "Kinesis_20131202.CreateStream"}
    assert request(server, headers={**target, "Origin": "http://evil.example"}, body=body)[0] == 403
    assert server.client("kinesis").list_streams()["StreamNames"] == []


def test_requests_without_credentials_are_refused(server):
    status, body = request(server, headers={"Authorization": ""})
    assert (status, json.loads(body)["__type"]) in [
        (400, "MissingAuthenticationTokenException"), (400, "IncompleteSignatureException"),
    ]


@pytest.fixture
def function(server):
    """A function that calls AWS, under a role that may only describe and put."""
    source = {"caller.py": (FUNCTIONS / "caller.py").read_text()}
    for name in ["caller", "other"]:
        role = server.role(f"{name}-role", policies=["arn:aws:iam::aws:policy/AmazonKinesisReadOnlyAccess"])
        server.function(name, source, role, handler="caller.handler", Timeout=20)
    server.stream("data")
    client = server.client("lambda")

    def invoke(name="caller", **event):
        answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    return invoke


def test_a_function_acts_under_its_role_and_no_further(function):
    identity = function(call="identity")
    assert identity["status"] == 200
    assert "arn:aws:sts::123456789012:assumed-role/caller-role/caller" in identity["body"]
    assert function(call="DescribeStreamSummary", input={"StreamName": "data"})["status"] == 200
    put = {"StreamName": "data", "PartitionKey": "k", "Data": "aGk="}
    refused = function(call="PutRecord", input=put)
    assert (refused["status"], json.loads(refused["body"])["__type"]) == (400, "AccessDeniedException")
    assert "assumed-role/caller-role/caller is not authorized to perform: kinesis:PutRecord" in refused["body"]


def test_a_function_with_a_foreign_key_gets_nothing(function):
    for key in ["test", "123456789012", "AKIAIOSFODNN7EXAMPLE"]:
        answer = function(call="ListStreams", input={}, key=key, secret="test", token=None)
        assert answer["status"] in (400, 403), answer
        assert "UnrecognizedClientException" in answer["body"], answer


def test_credentials_of_another_environment_are_refused_elsewhere(function):
    others = function("other", show=True)
    answer = function(
        call="ListStreams", input={}, key=others["AWS_ACCESS_KEY_ID"],
        secret=others["AWS_SECRET_ACCESS_KEY"], token=others["AWS_SESSION_TOKEN"],
    )
    assert answer["status"] in (400, 403), answer
    assert "UnrecognizedClientException" in answer["body"]


def test_revoked_credentials_are_never_taken_for_foreign_ones(server, function):
    shown = function(show=True)
    client = lambda: server.client(  # noqa: E731
        "kinesis", key=shown["AWS_ACCESS_KEY_ID"], secret=shown["AWS_SECRET_ACCESS_KEY"],
        token=shown["AWS_SESSION_TOKEN"],
    )
    with pytest.raises(botocore.exceptions.ClientError) as denied:
        client().create_stream(StreamName="mine", ShardCount=1)
    assert denied.value.response["Error"]["Code"] == "AccessDeniedException", "issued keys are limited to their role"
    server.client("lambda").delete_function(FunctionName="caller")

    def refused():
        try:
            client().list_streams()
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        return None

    from millstream import until

    assert until(refused, what="the environment's credentials are revoked") == "UnrecognizedClientException"
