"""Aliases, reserved concurrency and resource policies, with boto3 and real functions."""

import base64
import hashlib
import json
import threading
import urllib.request

import pytest
from botocore.exceptions import ClientError

from mappings import Fail, Queue, describe, put, relay, update
from millstream import ACCOUNT, REGION, until, zipped

SOURCE = {"handler.py": "def handler(event, context): return [context.function_version, context.invoked_function_arn]"}
OTHER = "111122223333"


def arn(name, qualifier=None):
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}" + (f":{qualifier}" if qualifier else "")


def refused(code, call, **input):
    with pytest.raises(ClientError) as caught:
        call(**input)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response["Error"]["Message"]


def settled(client, name):
    until(lambda: client.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful")


def with_versions(server, name):
    """A function with versions 1 and 2."""
    client = server.client("lambda", read_timeout=30)
    server.function(name, SOURCE, server.role(f"{name}-role"))
    for timeout in (5, 6):
        client.update_function_configuration(FunctionName=name, Timeout=timeout)
        settled(client, name)
        client.publish_version(FunctionName=name)
    return client


def invoke(client, name, **more):
    return json.loads(client.invoke(FunctionName=name, Payload=b"{}", **more)["Payload"].read())


def test_aliases_from_creation_to_deletion(shared):
    client = with_versions(shared, "aliased")
    made = client.create_alias(FunctionName="aliased", Name="live", FunctionVersion="1", Description="d")
    made.pop("ResponseMetadata")
    assert made == {
        "AliasArn": arn("aliased", "live"), "Name": "live", "FunctionVersion": "1", "Description": "d",
        "RevisionId": made["RevisionId"],
    }
    assert invoke(client, "aliased", Qualifier="live") == ["1", arn("aliased", "live")]
    assert invoke(client, arn("aliased", "live")) == ["1", arn("aliased", "live")]
    moved = client.update_alias(
        FunctionName="aliased", Name="live", FunctionVersion="2", RevisionId=made["RevisionId"],
        RoutingConfig={"AdditionalVersionWeights": {"1": 0.0}},
    )
    assert moved["RoutingConfig"] == {"AdditionalVersionWeights": {"1": 0.0}}
    assert invoke(client, "aliased:live") == ["2", arn("aliased", "live")]
    found = client.get_alias(FunctionName="aliased", Name="live")
    assert {**found, "ResponseMetadata": 0} == {**moved, "ResponseMetadata": 0}
    assert [alias["Name"] for alias in client.list_aliases(FunctionName="aliased")["Aliases"]] == ["live"]

    text = refused("ResourceConflictException", client.delete_function, FunctionName="aliased", Qualifier="1")
    assert text == "Unable to delete version because the following aliases reference it: [live]"
    text = refused(
        "ValidationException", client.create_alias, FunctionName="aliased", Name="x", FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 2.0}},
    )
    assert "Member must have value less than or equal to 1.0" in text
    text = refused("ValidationException", client.create_alias, FunctionName="aliased", Name="7", FunctionVersion="1")
    assert text.endswith("Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)")
    client.delete_alias(FunctionName="aliased", Name="live")
    text = refused("ResourceNotFoundException", client.invoke, FunctionName="aliased", Qualifier="live")
    assert text == f"Function not found: {arn('aliased', 'live')}"


def test_a_mapping_of_an_alias_runs_both_versions_by_weight(server, director):
    relay(server, director, role=server.role())
    client = server.client("lambda")
    for timeout in (59, 58):
        client.update_function_configuration(FunctionName="f", Timeout=timeout)
        settled(client, "f")
        client.publish_version(FunctionName="f")
    client.create_alias(
        FunctionName="f", Name="live", FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    director.decide = lambda invocation: None
    uuid = server.mapping("f:live", server.stream("s"), BatchSize=1)
    assert describe(server, uuid)["FunctionArn"] == arn("f", "live")
    put(server, "s", range(40))
    until(lambda: len(director.delivered("f")) >= 40)
    assert director.delivered("f") == [str(number) for number in range(40)], "in order, whichever version runs"
    assert {invocation.version for invocation in director.of("f")} == {"1", "2"}
    assert {invocation.invoked_arn for invocation in director.of("f")} == {arn("f", "live")}
    # Moving the alias acts on the next batch; deleting it stops the mapping, without a loss.
    client.update_alias(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    put(server, "s", range(40, 50))
    until(lambda: len(director.delivered("f")) >= 50)
    assert {invocation.version for invocation in director.of("f")[-9:]} == {"1"}
    client.delete_alias(FunctionName="f", Name="live")
    put(server, "s", [50])
    until(lambda: "function" in describe(server, uuid)["LastProcessingResult"].lower())
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="2")
    until(lambda: "50" in director.delivered("f"))
    assert director.of("f")[-1].version == "2"


def test_reserved_concurrency_is_a_limit(server, director):
    relay(server, director, role=server.role())
    client = server.client("lambda", read_timeout=60, retries={"max_attempts": 0})
    entered, leave = threading.Semaphore(0), threading.Event()

    def decide(_):
        entered.release()
        leave.wait(30)

    director.decide = decide
    answer = client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    assert answer["ReservedConcurrentExecutions"] == 1
    assert client.get_function(FunctionName="f")["Concurrency"] == {"ReservedConcurrentExecutions": 1}
    payload = json.dumps({"Records": [{"eventID": "s:1", "kinesis": {"data": "MQ=="}}]}).encode()
    first = threading.Thread(target=lambda: client.invoke(FunctionName="f", Payload=payload))
    first.start()
    assert entered.acquire(timeout=30)
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName="f", Payload=payload)
    response = caught.value.response
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert (response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("Rate Exceeded.", 429)
    leave.set()
    first.join()
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 999
    text = refused(
        "InvalidParameterValueException", client.put_function_concurrency, FunctionName="f",
        ReservedConcurrentExecutions=901,
    )
    assert text.endswith("below its minimum value of [100].")
    client.delete_function_concurrency(FunctionName="f")
    answer = client.get_function_concurrency(FunctionName="f")
    assert "ReservedConcurrentExecutions" not in answer


def test_a_function_that_is_switched_off_loses_nothing_and_uses_no_retries(server, director):
    queue = Queue(server)
    relay(server, director, policies=[queue.policy])
    client = server.client("lambda")
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    director.decide = lambda invocation: None
    uuid = server.mapping(
        "f", server.stream("s"), BatchSize=10, MaximumRetryAttempts=0, DestinationConfig=queue.destination
    )
    put(server, "s", range(3))
    until(lambda: "throttl" in describe(server, uuid)["LastProcessingResult"].lower())
    # Off also for the next process: the reservation is kept, and told to it again.
    server.kill()
    server.start()
    client = server.client("lambda", retries={"max_attempts": 0})
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName="f", Payload=b"{}")
    assert director.of("f") == []
    client.delete_function_concurrency(FunctionName="f")
    until(lambda: director.delivered("f") == ["0", "1", "2"])
    # The retry limit was not touched by the throttles: one failure now exhausts it.
    def fail(_):
        raise Fail("no")

    director.decide = fail
    put(server, "s", [3])
    message = queue.wait_for(1)[0]
    assert message["requestContext"]["approximateInvokeCount"] == 1
    update(server, uuid, state="Disabled", Enabled=False)


def test_a_resource_policy_lets_others_in(shared):
    client = with_versions(shared, "open")
    stranger = shared.client("lambda", key=OTHER, read_timeout=30)
    target = arn("open", "1")
    refused("AccessDeniedException", stranger.invoke, FunctionName=target)
    answer = client.add_permission(
        FunctionName="open", Qualifier="1", StatementId="s1", Action="lambda:InvokeFunction", Principal=OTHER
    )
    statement = json.loads(answer["Statement"])
    assert statement == {
        "Sid": "s1", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
        "Action": "lambda:InvokeFunction", "Resource": target,
    }
    assert invoke(stranger, target) == ["1", target]
    refused("AccessDeniedException", stranger.invoke, FunctionName=arn("open"))
    refused("AccessDeniedException", stranger.get_function, FunctionName=target)
    found = client.get_policy(FunctionName="open", Qualifier="1")
    assert json.loads(found["Policy"])["Statement"] == [statement]
    text = refused(
        "PreconditionFailedException", client.remove_permission, FunctionName="open", Qualifier="1", StatementId="s1",
        RevisionId="other",
    )
    assert text.endswith("Call the GetPolicy API to retrieve the latest Revision Id")
    client.remove_permission(
        FunctionName="open", Qualifier="1", StatementId="s1", RevisionId=found["RevisionId"]
    )
    refused("AccessDeniedException", stranger.invoke, FunctionName=target)
    text = refused("ResourceNotFoundException", client.get_policy, FunctionName="open", Qualifier="1")
    assert text == "The resource you requested does not exist."


def test_a_function_has_no_code_signing(shared):
    client = with_versions(shared, "unsigned")
    answer = client.get_function_code_signing_config(FunctionName="unsigned")
    assert (answer["CodeSigningConfigArn"], answer["FunctionName"]) == ("", "unsigned")
    refused("ResourceNotFoundException", client.get_function_code_signing_config, FunctionName="nope")


def layer(client, name, files, **more):
    return client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(files)}, **more)


def test_layers_from_publishing_to_opt(shared):
    client = shared.client("lambda", read_timeout=30)
    first = layer(client, "tools", {"python/tools.py": "VALUE = 1", "python/only.py": "VALUE = 1"}, LicenseInfo="MIT",
                  CompatibleRuntimes=["python3.11"])
    assert first["LayerVersionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:tools:1"
    over = layer(client, "over", {"python/tools.py": "VALUE = 2"})
    source = "import only, tools\ndef handler(event, context): return [tools.VALUE, only.VALUE]"
    arns = [first["LayerVersionArn"], over["LayerVersionArn"]]
    shared.function("layered", {"handler.py": source}, shared.role("layered-role"), Layers=arns)
    assert invoke(client, "layered") == [2, 1]
    found = client.get_function_configuration(FunctionName="layered")["Layers"]
    assert [(used["Arn"], used["CodeSize"]) for used in found] == [
        (made["LayerVersionArn"], made["Content"]["CodeSize"]) for made in (first, over)
    ]
    # The other way round; and a deleted version stays with the function that has it.
    client.delete_layer_version(LayerName="over", VersionNumber=1)
    refused(
        "InvalidParameterValueException", client.update_function_configuration, FunctionName="layered",
        Layers=arns[::-1],
    )
    client.update_function_configuration(FunctionName="layered", Timeout=7)
    settled(client, "layered")
    assert invoke(client, "layered") == [2, 1]
    client.update_function_configuration(FunctionName="layered", Layers=arns[:1])
    settled(client, "layered")
    assert invoke(client, "layered") == [1, 1]

    with urllib.request.urlopen(client.get_layer_version_by_arn(Arn=arns[0])["Content"]["Location"], timeout=10) as zip:
        digest = base64.b64encode(hashlib.sha256(zip.read()).digest()).decode()
    shown = client.get_layer_version(LayerName="tools", VersionNumber=1)
    assert shown["Content"]["CodeSha256"] == digest and shown["LicenseInfo"] == "MIT"
    assert [item["LayerName"] for item in client.list_layers()["Layers"]] == ["tools"]
    assert client.list_layer_versions(LayerName="tools")["LayerVersions"][0]["CompatibleRuntimes"] == ["python3.11"]


def test_a_layer_is_used_by_other_accounts_only_as_its_policy_says(shared):
    client = shared.client("lambda")
    arn = layer(client, "shared-layer", {"a": "1"})["LayerVersionArn"]
    stranger = shared.client("lambda", key=OTHER)
    refused("AccessDeniedException", stranger.get_layer_version_by_arn, Arn=arn)
    client.add_layer_version_permission(
        LayerName="shared-layer", VersionNumber=1, StatementId="s1", Action="lambda:GetLayerVersion", Principal="*"
    )
    assert stranger.get_layer_version_by_arn(Arn=arn)["LayerVersionArn"] == arn
    whole = arn.rpartition(":")[0]
    refused("AccessDeniedException", stranger.list_layer_versions, LayerName=whole)
    assert len(client.list_layer_versions(LayerName=whole)["LayerVersions"]) == 1
    refused("AccessDeniedException", stranger.delete_layer_version, LayerName=whole, VersionNumber=1)
    policy = client.get_layer_version_policy(LayerName="shared-layer", VersionNumber=1)
    assert json.loads(policy["Policy"])["Statement"][0]["Sid"] == "s1"
    client.remove_layer_version_permission(LayerName="shared-layer", VersionNumber=1, StatementId="s1")
    refused("AccessDeniedException", stranger.get_layer_version_by_arn, Arn=arn)
    refused("ResourceNotFoundException", client.get_layer_version_policy, LayerName="shared-layer", VersionNumber=1)


def test_results_of_asynchronous_invocations_go_to_their_destinations(frozen, director):
    queue, failures = Queue(frozen, "results"), Queue(frozen, "failures")
    relay(frozen, director, policies=[queue.policy, failures.policy])
    client = frozen.client("lambda")
    made = client.put_function_event_invoke_config(
        FunctionName="f", MaximumRetryAttempts=1, MaximumEventAgeInSeconds=3600,
        DestinationConfig={"OnSuccess": {"Destination": queue.arn}, "OnFailure": {"Destination": failures.arn}},
    )
    assert made["FunctionArn"] == arn("f", "$LATEST")
    payload = {"Records": [{"eventID": "s:1", "kinesis": {"data": "MQ=="}}]}
    director.decide = lambda invocation: {"said": "yes"}
    sent = client.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps(payload).encode())
    message = queue.wait_for(1)[0]
    assert message["requestContext"] == {
        "requestId": sent["ResponseMetadata"]["RequestId"], "functionArn": arn("f", "$LATEST"), "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert (message["requestPayload"], message["responsePayload"]) == (payload, {"said": "yes"})
    assert message["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}

    def fail(_):
        raise Fail("no")

    director.decide = fail
    client.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps(payload).encode())
    # One retry, a minute after the failure.
    until(lambda: len(director.of("f")) == 2)
    frozen.clock.drain()
    assert len(director.of("f")) == 2
    frozen.clock.advance_clock(Seconds=60)
    message = failures.wait_for(1)[0]
    assert len(director.of("f")) == 3
    assert message["requestContext"]["condition"] == "RetriesExhausted"
    assert message["requestContext"]["approximateInvokeCount"] == 2
    assert message["responseContext"]["functionError"] == "Unhandled"
    text = refused(
        "InvalidParameterValueException", client.put_function_event_invoke_config, FunctionName="f",
        DestinationConfig={"OnFailure": {"Destination": queue.arn.replace("results", "others")}},
    )
    assert text == "The provided execution role does not have permissions to call SendMessage on SQS"
    configs = client.list_function_event_invoke_configs(FunctionName="f")["FunctionEventInvokeConfigs"]
    assert [config["MaximumRetryAttempts"] for config in configs] == [1]
    changed = client.update_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (0, 3600)
    client.delete_function_event_invoke_config(FunctionName="f")
    text = refused("ResourceNotFoundException", client.get_function_event_invoke_config, FunctionName="f")
    assert text == f"The function {arn('f', '$LATEST')} doesn't have an EventInvokeConfig"
