"""What functions do shows in CloudWatch and in /metrics, over every protocol that clients of CloudWatch speak."""

import datetime
import json
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.parsers
import botocore.serialize
import pytest
from botocore.exceptions import ClientError

from millstream import ACCOUNT, REGION

SOURCE = """
def handler(event, context):
    if event.get("raise"):
        raise ValueError("no")
    return event
"""
MINUTE = datetime.timedelta(minutes=1)


def last_hour():
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"StartTime": now - 60 * MINUTE, "EndTime": now + 5 * MINUTE}


def total(cloudwatch, name, dimensions, namespace="AWS/Lambda", statistic="Sum"):
    answer = cloudwatch.get_metric_statistics(
        Namespace=namespace, MetricName=name, Statistics=[statistic], Period=3900,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()], **last_hour(),
    )
    assert answer["Label"] == name
    return [point[statistic] for point in answer["Datapoints"]]


@pytest.fixture
def called(server):
    """A function that ran five times, two of them with an error, one by its version."""
    server.function("counted", {"handler.py": SOURCE}, server.role())
    functions = server.client("lambda")
    version = functions.publish_version(FunctionName="counted")["Version"]
    for event in ({}, {"raise": True}, {}, {"raise": True}):
        functions.invoke(FunctionName="counted", Payload=json.dumps(event))
    functions.invoke(FunctionName="counted", Qualifier=version, Payload="{}")
    return server


def test_invocations_show_in_statistics(called):
    cloudwatch = called.client("cloudwatch")
    function = {"FunctionName": "counted"}
    assert total(cloudwatch, "Invocations", function) == [5]
    assert total(cloudwatch, "Errors", function) == [2]
    assert total(cloudwatch, "Throttles", function) == [0]
    assert total(cloudwatch, "ConcurrentExecutions", function, statistic="Maximum") == [1]
    assert total(cloudwatch, "Invocations", {**function, "Resource": "counted"}) == [4]
    assert total(cloudwatch, "Invocations", {**function, "Resource": "counted:1"}) == [1]
    assert total(cloudwatch, "Invocations", {}) == [5]
    assert total(cloudwatch, "Invocations", {"FunctionName": "other"}) == []
    [point] = cloudwatch.get_metric_statistics(
        Namespace="AWS/Lambda", MetricName="Duration", Period=3900, ExtendedStatistics=["p50"],
        Statistics=["Minimum", "Maximum", "SampleCount"], Dimensions=[{"Name": "FunctionName", "Value": "counted"}],
        **last_hour(),
    )["Datapoints"]
    assert point["Unit"] == "Milliseconds" and point["SampleCount"] == 5
    assert 0 < point["Minimum"] <= point["ExtendedStatistics"]["p50"] <= point["Maximum"] < 60_000


def test_invocations_show_in_data_and_listings(called):
    cloudwatch = called.client("cloudwatch")
    dimensions = [{"Name": "FunctionName", "Value": "counted"}]

    def query(identifier, name, stat):
        metric = {"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": dimensions}
        return {"Id": identifier, "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}}

    queries = [query("calls", "Invocations", "Sum"), query("errors", "Errors", "Sum"), query("p", "Duration", "p99")]
    results = {
        result["Id"]: result
        for page in cloudwatch.get_paginator("get_metric_data").paginate(MetricDataQueries=queries, **last_hour())
        for result in page["MetricDataResults"]
    }
    assert sum(results["calls"]["Values"]) == 5 and sum(results["errors"]["Values"]) == 2
    assert results["calls"]["StatusCode"] == "Complete" and results["calls"]["Label"] == "Invocations"
    assert all(at.second == 0 for at in results["calls"]["Timestamps"])
    assert len(results["p"]["Values"]) == len(results["calls"]["Values"])

    metrics = cloudwatch.list_metrics(Namespace="AWS/Lambda", Dimensions=dimensions)["Metrics"]
    assert {metric["MetricName"] for metric in metrics} == {
        "Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"
    }
    assert {tuple(d["Value"] for d in metric["Dimensions"]) for metric in metrics} == {
        ("counted",), ("counted", "counted"), ("counted", "counted:1")
    }

    math = {"Id": "rate", "Expression": "errors/calls"}
    with pytest.raises(ClientError, match="metric math") as refused:
        cloudwatch.get_metric_data(MetricDataQueries=[*queries, math], **last_hour())
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_prometheus_sees_the_same(called):
    with urllib.request.urlopen(f"{called.endpoint}/metrics") as answer:
        text = answer.read().decode()
    labels = f'account="{ACCOUNT}",region="{REGION}",function="counted"'
    lines = text.splitlines()
    assert f"millstream_function_invocations_total{{{labels}}} 5" in lines
    assert f"millstream_function_errors_total{{{labels}}} 2" in lines
    assert f"millstream_function_throttles_total{{{labels}}} 0" in lines
    assert f'millstream_function_duration_seconds_bucket{{{labels},le="+Inf"}} 5' in lines
    assert text.count("# TYPE millstream_function_invocations_total counter") == 1


def test_own_metrics_make_the_round(server):
    cloudwatch = server.client("cloudwatch")
    dimensions = [{"Name": "Station", "Value": "größe <&>"}]
    now = datetime.datetime.now(datetime.timezone.utc)
    data = [
        {"MetricName": "Load", "Dimensions": dimensions, "Value": 2.5, "Unit": "Percent"},
        {"MetricName": "Load", "Dimensions": dimensions, "Values": [1, 2], "Counts": [3, 1], "Unit": "Percent"},
        {"MetricName": "Load", "Dimensions": dimensions, "Unit": "Percent", "Timestamp": now - 10 * MINUTE,
         "StatisticValues": {"SampleCount": 2, "Sum": 30, "Minimum": 10, "Maximum": 20}},
    ]
    cloudwatch.put_metric_data(Namespace="Mill", MetricData=data)
    dimensions = {"Station": "größe <&>"}
    assert total(cloudwatch, "Load", dimensions, "Mill") == [37.5]
    assert total(cloudwatch, "Load", dimensions, "Mill", "SampleCount") == [7]
    assert total(cloudwatch, "Load", dimensions, "Mill", "Maximum") == [20]
    assert server.client("cloudwatch", region="eu-west-1").list_metrics()["Metrics"] == []

    # So much that the client compresses it.
    many = [{"MetricName": f"m{number:03}", "Value": number, "Timestamp": now} for number in range(600)]
    cloudwatch.put_metric_data(Namespace="Many", MetricData=many)
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace="Many")
    assert [m["MetricName"] for page in pages for m in page["Metrics"]] == [m["MetricName"] for m in many]


def test_errors_have_the_codes_of_the_query_protocol(server):
    cloudwatch = server.client("cloudwatch")

    def refused(call, **arguments):
        with pytest.raises(ClientError) as error:
            call(**arguments)
        return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]

    good = {"MetricName": "m", "Value": 1}
    code, message = refused(cloudwatch.put_metric_data, Namespace="AWS/Lambda", MetricData=[good])
    assert (code, message) == ("InvalidParameterValue", "The value AWS/ for parameter Namespace is invalid.")
    both = {**good, "Values": [1]}
    code, _ = refused(cloudwatch.put_metric_data, Namespace="Mill", MetricData=[good, both])
    assert code == "InvalidParameterCombination"
    code, _ = refused(cloudwatch.put_metric_data, Namespace="Mill", MetricData=[{**good, "StorageResolution": 1}])
    assert code == "InvalidParameterValue"
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException):
        cloudwatch.put_metric_data(Namespace="AWS/x", MetricData=[good])
    assert cloudwatch.list_metrics()["Metrics"] == []

    statistics = {"Namespace": "Mill", "MetricName": "m", **last_hour()}
    code, _ = refused(cloudwatch.get_metric_statistics, Period=61, Statistics=["Sum"], **statistics)
    assert code == "InvalidParameterValue"
    code, _ = refused(cloudwatch.get_metric_statistics, Period=60, **statistics)
    assert code == "MissingParameter"
    statistics["StartTime"] -= 24 * 60 * MINUTE
    code, message = refused(cloudwatch.get_metric_statistics, Period=60, Statistics=["Sum"], **statistics)
    assert code == "InvalidParameterCombination" and "exceeds the limit of 1,440" in message


def test_a_role_needs_permission(server):
    arn = server.role("nothing-allowed", policies=())
    server.client("iam").update_assume_role_policy(RoleName="nothing-allowed", PolicyDocument=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
    }))
    keys = server.client("sts").assume_role(RoleArn=arn, RoleSessionName="reader")["Credentials"]
    session = keys["AccessKeyId"], keys["SecretAccessKey"]
    cloudwatch = server.client("cloudwatch", *session, token=keys["SessionToken"])
    with pytest.raises(ClientError, match="cloudwatch:ListMetrics") as denied:
        cloudwatch.list_metrics()
    assert denied.value.response["Error"]["Code"] == "AccessDenied"


def test_the_command_line_reads_and_writes(server):
    server.shell("aws cloudwatch put-metric-data --namespace Mill --metric-name Load --value 4 --dimensions A=1")
    listed = server.shell("aws cloudwatch list-metrics --namespace Mill")
    assert json.loads(listed.stdout)["Metrics"] == [
        {"Namespace": "Mill", "MetricName": "Load", "Dimensions": [{"Name": "A", "Value": "1"}]}
    ]
    span = "--start-time $(date -u -d '-1 hour' +%FT%TZ) --end-time $(date -u -d '+5 minutes' +%FT%TZ)"
    found = server.shell(
        f"aws cloudwatch get-metric-statistics --namespace Mill --metric-name Load --dimensions Name=A,Value=1 "
        f"{span} --period 60 --statistics Average"
    )
    assert [point["Average"] for point in json.loads(found.stdout)["Datapoints"]] == [4]


@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor", "query"])
def test_every_protocol_is_served(server, protocol):
    """The requests that clients send which know only this protocol, made by botocore's own code."""
    client = server.client("cloudwatch")
    data = [{"MetricName": "m", "Value": 1.5, "Dimensions": [{"Name": "d", "Value": "v"}]}]
    assert speak(server, client, protocol, "PutMetricData", {"Namespace": "Mill", "MetricData": data}) == {}
    answer = speak(server, client, protocol, "GetMetricStatistics", {
        "Namespace": "Mill", "MetricName": "m", "Dimensions": data[0]["Dimensions"], "Period": 3900,
        "Statistics": ["Sum"], **last_hour(),
    })
    [point] = answer["Datapoints"]
    assert (point["Sum"], point["Unit"]) == (1.5, "None")
    assert abs(point["Timestamp"] - last_hour()["StartTime"]) < 2 * MINUTE
    error = speak(server, client, protocol, "PutMetricData", {"Namespace": "AWS/Own", "MetricData": data})["Error"]
    assert error["Code"] == "InvalidParameterValue"
    assert error["Message"] == "The value AWS/ for parameter Namespace is invalid."


def speak(server, client, protocol, name, parameters):
    operation = client.meta.service_model.operation_model(name)
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    request = serializer.serialize_to_request(parameters, operation)
    botocore.awsrequest.prepare_request_dict(request, endpoint_url=server.endpoint)
    request = botocore.awsrequest.create_request_object(request)
    keys = boto3.session.Session(ACCOUNT, "secret").get_credentials()
    botocore.auth.SigV4Auth(keys, "monitoring", REGION).add_auth(request)
    prepared = request.prepare()
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    sent = urllib.request.Request(prepared.url, body, dict(prepared.headers), method="POST")
    try:
        with urllib.request.urlopen(sent) as got:
            status, headers, body = got.status, got.headers, got.read()
    except urllib.error.HTTPError as got:
        status, headers, body = got.code, got.headers, got.read()
    answer = {"status_code": status, "headers": botocore.awsrequest.HeadersDict(headers.items()), "body": body}
    parsed = botocore.parsers.create_parser(protocol).parse(answer, operation.output_shape)
    parsed.pop("ResponseMetadata", None)
    return parsed
