#!/usr/bin/env python3
"""Makes and checks the golden transcripts of `crates/wire/tests/golden`, with botocore as the client.

    transcripts.py write   writes a sample request per operation as botocore serialises it, without answers;
                           `MILLSTREAM_GOLDEN=rewrite cargo test -p millstream-wire golden` then adds the answers
    transcripts.py check   parses the answers with botocore and compares them with the sample outputs

No client at hand speaks CBOR to Kinesis, so this file holds a small one of its own. The tests need no Python.
"""

import base64
import datetime
import json
import struct
import sys
from pathlib import Path

import botocore
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "crates/wire/tests/golden"
SECONDS = 1_700_000_000
KEPT_HEADERS = ("content-type", "x-amz-target", "x-amz-invocation-type", "x-amz-log-type", "x-amz-client-context",
                "x-amz-tenant-id", "x-amz-durable-execution-name")
ACCOUNT = "123456789012"
REGION_ARN = f"us-east-1:{ACCOUNT}"

# Texts for shapes whose pattern a plain word does not match.
TEXTS = {
    "StreamARN": f"arn:aws:kinesis:{REGION_ARN}:stream/golden",
    "StreamId": "abcdefghij0123456789-abc",
    "ConsumerARN": f"arn:aws:kinesis:{REGION_ARN}:stream/golden/consumer/golden:1700000000",
    "ResourceARN": f"arn:aws:kinesis:{REGION_ARN}:stream/golden",
    "HashKey": "170141183460469231731687303715884105728",
    "SequenceNumber": "49590338271490256608559692538361571095921575989136588898",
    "TaggableResource": f"arn:aws:lambda:{REGION_ARN}:event-source-mapping:00000000-0000-4000-8000-000000000001",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/golden",
    "KMSKeyArn": f"arn:aws:kms:{REGION_ARN}:key/1",
    "ResourceArn": f"arn:aws:sqs:{REGION_ARN}:queue",
    "LayerVersionArn": f"arn:aws:lambda:{REGION_ARN}:layer:golden:1",
    "FileSystemArn": f"arn:aws:elasticfilesystem:{REGION_ARN}:access-point/fsap-0123456789abcdef0",
    "LocalMountPath": "/mnt/golden",
    "CodeSigningConfigArn": f"arn:aws:lambda:{REGION_ARN}:code-signing-config:csc-0123456789abcdefg",
    "CapacityProviderArn": f"arn:aws:lambda:{REGION_ARN}:capacity-provider:golden",
    "FunctionArn": f"arn:aws:lambda:{REGION_ARN}:function:golden",
    "NameSpacedFunctionArn": f"arn:aws:lambda:{REGION_ARN}:function:golden",
    "NamespacedFunctionName": f"arn:aws:lambda:{REGION_ARN}:function:golden",
    "Version": "$LATEST",
    "VersionWithLatestPublished": "1",
    "Action": "lambda:InvokeFunction",
    "LayerPermissionAllowedAction": "lambda:GetLayerVersion",
    "LayerPermissionAllowedPrincipal": ACCOUNT,
    "OrganizationId": "o-0123456789",
    "LayerArn": f"arn:aws:lambda:{REGION_ARN}:layer:golden",
    "SourceOwner": ACCOUNT,
    "PrincipalOrgID": "o-0123456789",
    "AdditionalVersion": "2",
    "NumericLatestPublishedOrAliasQualifier": "1",
    "Arn": f"arn:aws:kinesis:{REGION_ARN}:stream/golden",
    "RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:0123456789",
    "MasterRegion": "us-east-1",
    "DestinationArn": f"arn:aws:sqs:{REGION_ARN}:queue",
    "Endpoint": "broker.example.com:9092",
    "EventSourceMappingArn": f"arn:aws:lambda:{REGION_ARN}:event-source-mapping:00000000-0000-4000-8000-000000000001",
    "Runtime": "python3.13",
    "pathType": "/golden/",
    "policyPathType": "/golden/",
    "pathPrefixType": "/golden/",
    "policyDocumentType": '{"Version": "2012-10-17", "Statement": []}',
    "unrestrictedSessionPolicyDocumentType": '{"Version": "2012-10-17", "Statement": []}',
    "idType": "AROA0123456789ABCDEF",
    "arnType": f"arn:aws:iam::{ACCOUNT}:role/golden",
    "policyVersionIdType": "v1",
    "accessKeyIdType": "ASIA0123456789ABCDEF",
    "tokenCodeType": "123456",
    "serialNumberType": "GAHT12345678",
    "AccountId": ACCOUNT,
    "TagKey": "größe <&> 1",
    "TagsErrorCode": "AccessDeniedException",
    "FilterCriteriaErrorCode": "AccessDeniedException",
    "UUIDString": "00000000-0000-4000-8000-000000000001",
}
PLAIN_TAG_SERVICES = ("logs",)


class Samples:
    """Sample values of shapes, always the same."""

    def __init__(self, service):
        self.service = service

    def value(self, shape, full):
        match shape.type_name:
            case "structure":
                names = shape.members if full else shape.required_members
                return {name: self.value(shape.members[name], full) for name in sorted(names)}
            case "list":
                return [self.value(shape.member, full)]
            case "map":
                key, count = self.value(shape.key, full), max(1, shape.metadata.get("min", 0))
                return {key + "2" * index: self.value(shape.value, full) for index in range(count)}
            case "string":
                return self.text(shape)
            case "integer" | "long":
                least, most = int(shape.metadata.get("min", 0)), shape.metadata.get("max")
                return min(max(3, least), most) if most is not None else max(3, least)
            case "double" | "float":
                return min(2.5, shape.metadata.get("max", 5) / 2)
            case "boolean":
                return True
            case "timestamp":
                return datetime.datetime.fromtimestamp(SECONDS, datetime.timezone.utc)
            case "blob":
                return b"hello \xff"
        raise ValueError(shape.type_name)

    def output(self, operation, full):
        if operation.has_event_stream_output:
            return self.event(operation.get_event_stream_output(), full)
        shape = operation.output_shape
        output = self.value(shape, full) if shape else {}
        if shape and "StatusCode" in shape.members:
            # The client reads it from the status line, so it is always there; deletions are recorded as 204.
            output["StatusCode"] = 204 if operation.name.startswith("Delete") else operation.http["responseCode"]
        return output

    def event(self, union, full):
        """An event. Records always have all members; a shard's last event has children, others a number to go on."""
        event = event_of(union)
        output = self.value(union.members[event], True)
        output.pop("ContinuationSequenceNumber" if full else "ChildShards", None)
        return output

    def text(self, shape):
        if shape.enum:
            return TEXTS.get(shape.name, shape.enum[0])
        text = TEXTS.get(shape.name, "golden")
        if shape.name == "TagKey" and self.service in PLAIN_TAG_SERVICES:
            text = "golden"
        return text.ljust(shape.metadata.get("min", 0), "x")


def event_of(union):
    """The name of the event among the members of an event stream; all others are exceptions."""
    (name,) = [name for name, shape in union.members.items() if not shape.metadata.get("exception")]
    return name


def plain(value):
    """A sample as the transcript's JSON: base64 and epoch seconds."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case bytes():
            return base64.b64encode(value).decode()
        case datetime.datetime():
            return int(value.timestamp())
    return value


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for info, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if number < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | info]) + struct.pack(form, number)
    raise ValueError(number)


def to_cbor(value):
    match value:
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return head(0, value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(to_cbor, value))
        case dict():
            return head(5, len(value)) + b"".join(to_cbor(key) + to_cbor(item) for key, item in value.items())
        case datetime.datetime():
            return b"\xc1" + head(0, int(value.timestamp() * 1000))
    raise ValueError(value)


def from_cbor(data, at=0):
    """The value at a place and the place behind it; a break is `Ellipsis`."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if data[at - 1] == 0xFF:
        return Ellipsis, at
    if data[at - 1] in (0xF4, 0xF5):
        return data[at - 1] == 0xF5, at
    if data[at - 1] == 0xFB:
        return struct.unpack(">d", data[at:at + 8])[0], at + 8
    if info < 24:
        number = info
    elif info < 28:
        width = 1 << info - 24
        number = int.from_bytes(data[at:at + width], "big")
        at += width
    else:
        items = []
        while True:
            item, at = from_cbor(data, at)
            if item is Ellipsis:
                return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at
            items.append(item)
    if major == 0:
        return number, at
    if major in (2, 3):
        text = data[at:at + number]
        return (text if major == 2 else text.decode()), at + number
    if major == 6:
        millis, at = from_cbor(data, at)
        return datetime.datetime.fromtimestamp(millis / 1000, datetime.timezone.utc), at
    raise ValueError(data[at - 1])


def request_lines(model, operation, params, protocol):
    serializer = create_serializer(protocol, include_validation=False)
    request = serializer.serialize_to_request(params, operation)
    prepare_request_dict(request, endpoint_url="http://localhost")
    request = create_request_object(request).prepare()
    headers = {key.lower(): text(value) for key, value in request.headers.items()}
    lines = [f"{request.method} {request.url.removeprefix('http://localhost')}"]
    lines += [f"{key}: {headers[key]}" for key in KEPT_HEADERS if key in headers]
    body = request.body or b""
    return lines + ["", body.hex() if protocol == "smithy-rpc-v2-cbor" else text(body)]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def cbor_lines(operation, params):
    target = f"Kinesis_20131202.{operation.name}"
    return ["POST /", "content-type: application/x-amz-cbor-1.1", f"x-amz-target: {target}", "", to_cbor(params).hex()]


def services():
    """Name, model and implemented operations of each service."""
    for service, entry in json.loads((HERE / "operations.json").read_text()).items():
        name, version = entry["model"].split("/")
        model = ServiceModel(Loader(extra_search_paths=[str(HERE)]).load_service_model(name, "service-2", version), name)
        yield service, model, entry["operations"]


def write():
    for service, model, operations in services():
        samples = Samples(service)
        out = []
        for name in operations:
            operation = model.operation_model(name)
            for case in ("minimal", "full"):
                params = samples.value(operation.input_shape, case == "full")
                if name == "Invoke" and case == "full":
                    params["Payload"] = b'{"key": 1}'
                output = samples.output(operation, case == "full")
                if "Payload" in output:
                    output["Payload"] = b'{"answer": 1}'
                out += [f"# {name} {case}", f"input {json.dumps(plain(params))}", f"output {json.dumps(plain(output))}"]
                for protocol in model.metadata["protocols"] if service == "monitoring" else [model.metadata["protocol"]]:
                    out += [f"--- {protocol} request", *request_lines(model, operation, params, protocol)]
                if service == "kinesis" and not operation.has_event_stream_output:
                    out += ["--- cbor request", *cbor_lines(operation, params)]
        (GOLDEN / f"{service}.txt").write_text("\n".join(out) + "\n")


def sections(file):
    """The operation, its output and its answers, in order."""
    for part in ("\n" + file.read_text()).split("\n# ")[1:]:
        lines = part.split("\n")
        output = json.loads(lines[2].removeprefix("output "))
        answers = {}
        for section in "\n".join(lines[3:]).removeprefix("--- ").split("\n--- "):
            title, _, rest = section.partition("\n")
            start, _, body = rest.partition("\n\n")
            if title.endswith(" response"):
                status, *headers = start.split("\n")
                headers = dict(line.split(": ", 1) for line in headers)
                answers[title.removesuffix(" response")] = int(status), headers, body.removesuffix("\n")
        yield lines[0].split(" ")[0], output, answers


def check():
    count = 0
    for service, model, _ in services():
        for name, output, answers in sections(GOLDEN / f"{service}.txt"):
            operation = model.operation_model(name)
            assert answers, f"{service} {name} has no answer"
            for protocol, (status, headers, body) in answers.items():
                parsed = parse(model, operation, protocol, status, headers, body)
                assert parsed == output, f"{service} {name} {protocol}:\n{parsed}\n{output}"
                count += 1
    print(f"botocore {botocore.__version__} reads all {count} answers")


def parse(model, operation, protocol, status, headers, body):
    if protocol == "cbor":
        data = bytes.fromhex(body)
        return plain(from_cbor(data)[0]) if data else {}
    parser = create_parser(protocol)
    if protocol == "smithy-rpc-v2-cbor":
        answer = {"status_code": status, "headers": HeadersDict(headers), "body": bytes.fromhex(body)}
        parsed = parser.parse(answer, operation.output_shape)
        parsed.pop("ResponseMetadata", None)
        return plain(parsed)
    if operation.has_event_stream_output:
        return parse_events(parser, operation, status, headers, bytes.fromhex(body))
    answer = {"status_code": status, "headers": HeadersDict(headers), "body": body.encode()}
    parsed = parser.parse(answer, operation.output_shape)
    parsed.pop("ResponseMetadata", None)
    if payload := parsed.pop("Payload", None):
        # Outside a client the parser takes this blob for text.
        parsed["Payload"] = payload.encode()
    return plain(parsed)


def parse_events(parser, operation, status, headers, body):
    """The one event of a stream that opens as it should and ends with an exception."""
    assert status == 200 and headers["content-type"] == "application/vnd.amazon.eventstream", headers
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    opening, event, ending = (message.to_response_dict() for message in buffer)
    assert opening["headers"][":event-type"] == "initial-response" and opening["status_code"] == 200, opening
    union = operation.get_event_stream_output()
    parsed = parser._event_stream_parser.parse(event, union)
    error = parser._event_stream_parser.parse(ending, union)
    assert ending["status_code"] == 400 and error["Error"]["Code"] == "ResourceInUseException", error
    assert error["Error"]["Message"] == 'Some "message" <here>.', error
    return plain(parsed[event_of(union)])


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]]()
