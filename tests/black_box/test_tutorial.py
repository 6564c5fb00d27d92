"""The tutorial "Using AWS Lambda with Kinesis", verbatim, by the AWS CLI (reference: event-source-mapping, section 12)."""

import json
import pathlib

import pytest

from millstream import until

FUNCTIONS = pathlib.Path(__file__).parent / "functions"
INPUT = {
    "Records": [
        {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "1",
                "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
                "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
                "approximateArrivalTimestamp": 1545084650.987,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-kinesis-role",
            "awsRegion": "us-east-2",
            "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
        }
    ]
}
LANGUAGES = {
    # The tutorial's own identifier: retired at AWS, run here by the nearest Node.js there is.
    "node": ("index.js", "decode.js", "index.handler", "nodejs12.x"),
    "python": ("index.py", "decode.py", "index.handler", "python3.11"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tutorial_runs_verbatim(server, language):
    file, source, handler, runtime = LANGUAGES[language]
    (server.folder / file).write_text((FUNCTIONS / source).read_text())
    (server.folder / "input.txt").write_text(json.dumps(INPUT))
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},'
        '"Action":"sts:AssumeRole"}]}'
    )
    server.shell(f"aws iam create-role --role-name lambda-kinesis-role --assume-role-policy-document '{trust}'")
    server.shell(
        "aws iam attach-role-policy --role-name lambda-kinesis-role "
        "--policy-arn arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"
    )
    server.shell(f"zip function.zip {file}")
    server.shell(
        "aws lambda create-function --function-name ProcessKinesisRecords --zip-file fileb://function.zip "
        f"--handler {handler} --runtime {runtime} --role arn:aws:iam::123456789012:role/lambda-kinesis-role"
    )
    server.shell("aws lambda wait function-active-v2 --function-name ProcessKinesisRecords")
    server.shell("aws lambda invoke --function-name ProcessKinesisRecords --payload file://input.txt out.txt")
    assert "errorMessage" not in (server.folder / "out.txt").read_text()
    server.shell("aws kinesis create-stream --stream-name lambda-stream --shard-count 1")
    server.shell("aws kinesis wait stream-exists --stream-name lambda-stream")
    described = json.loads(server.shell("aws kinesis describe-stream --stream-name lambda-stream").stdout)
    stream = described["StreamDescription"]
    assert stream["StreamStatus"] == "ACTIVE"
    assert [shard["ShardId"] for shard in stream["Shards"]] == ["shardId-000000000000"]
    assert (stream["RetentionPeriodHours"], stream["EncryptionType"]) == (24, "NONE")
    arn = "arn:aws:kinesis:us-west-2:123456789012:stream/lambda-stream"
    server.shell(
        "aws lambda create-event-source-mapping --function-name ProcessKinesisRecords "
        f"--event-source {arn} --batch-size 100 --starting-position LATEST"
    )

    def enabled():
        listed = server.shell(
            f"aws lambda list-event-source-mappings --function-name ProcessKinesisRecords --event-source {arn}"
        )
        (mapping,) = json.loads(listed.stdout)["EventSourceMappings"]
        return mapping["State"] == "Enabled"

    until(enabled, what="the mapping is Enabled")
    before = sum("Decoded payload: Hello, this is a test." in line for line in server.log_lines("ProcessKinesisRecords"))
    assert before == 1, "the direct invocation decodes one record"
    server.shell(
        'aws kinesis put-record --stream-name lambda-stream --partition-key 1 --data "Hello, this is a test."'
    )
    until(
        lambda: sum(
            "Decoded payload: Hello, this is a test." in line for line in server.log_lines("ProcessKinesisRecords")
        )
        == 2,
        what="the record's payload in the log group",
    )
