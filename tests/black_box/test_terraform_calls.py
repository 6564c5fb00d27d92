"""The calls that Terraform's AWS provider makes for a stream, a role, a function and a mapping, in its order.

Each resource is created, read, changed, read and deleted; where the provider polls, the test polls, within seconds.
"""

import json

import pytest
from botocore.exceptions import ClientError

from millstream import ACCOUNT, REGION, until, zipped

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
KINESIS = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"


def missing(code, call, **input):
    """What the provider takes for "it is gone"."""
    try:
        call(**input)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return True
    return False


def read_stream(kinesis):
    summary = kinesis.describe_stream_summary(StreamName="tf")["StreamDescriptionSummary"]
    kinesis.list_tags_for_stream(StreamName="tf")
    return summary


def settled_stream(kinesis):
    until(lambda: read_stream(kinesis)["StreamStatus"] == "ACTIVE")
    return read_stream(kinesis)


def read_role(iam):
    role = iam.get_role(RoleName="tf")["Role"]
    inline = {name: iam.get_role_policy(RoleName="tf", PolicyName=name) for name in
              iam.list_role_policies(RoleName="tf")["PolicyNames"]}
    attached = iam.list_attached_role_policies(RoleName="tf")["AttachedPolicies"]
    return role, inline, [policy["PolicyArn"] for policy in attached]


def read_function(functions):
    found = functions.get_function(FunctionName="tf")
    assert found["Code"]["Location"], "the provider dereferences it"
    functions.list_versions_by_function(FunctionName="tf")
    assert "CodeSigningConfigArn" in functions.get_function_code_signing_config(FunctionName="tf")
    return found


def settled_function(functions):
    def done():
        found = read_function(functions)["Configuration"]
        return found["State"] == "Active" and found.get("LastUpdateStatus") == "Successful"

    until(done)
    return read_function(functions)


def read_mapping(functions, uuid):
    found = functions.get_event_source_mapping(UUID=uuid)
    functions.list_tags(Resource=found["EventSourceMappingArn"])
    return found


def settled_mapping(functions, uuid, wanted):
    def done():
        state = read_mapping(functions, uuid)["State"]
        assert state in ("Creating", "Enabling", "Enabled", "Updating", "Disabling", "Disabled"), state
        return state == wanted

    until(done)
    return read_mapping(functions, uuid)


@pytest.fixture
def clients(server):
    identity = server.client("sts").get_caller_identity()
    assert identity["Account"] == ACCOUNT
    return server.client("kinesis"), server.client("iam"), server.client("lambda")


def create_stream(kinesis):
    limits = kinesis.describe_limits()
    assert limits["OpenShardCount"] + 1 <= limits["ShardLimit"], "the provider refuses the plan otherwise"
    kinesis.create_stream(
        StreamName="tf", ShardCount=1, StreamModeDetails={"StreamMode": "PROVISIONED"}, Tags={"team": "a"}
    )
    settled_stream(kinesis)
    # Always, also where it is 24 already.
    kinesis.increase_stream_retention_period(StreamName="tf", RetentionPeriodHours=24)
    return settled_stream(kinesis)["StreamARN"]


def create_role(iam):
    arn = iam.create_role(RoleName="tf", AssumeRolePolicyDocument=TRUST, Path="/", MaxSessionDuration=3600)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="tf", PolicyArn=KINESIS)
    role, inline, attached = read_role(iam)
    assert (role["AssumeRolePolicyDocument"], inline, attached) == (json.loads(TRUST), {}, [KINESIS])
    return arn


def create_function(functions, role):
    functions.create_function(
        FunctionName="tf", Runtime="python3.11", Handler="handler.handler", Role=role, Timeout=3, MemorySize=128,
        Architectures=["x86_64"], PackageType="Zip", Publish=False, EphemeralStorage={"Size": 512},
        Code={"ZipFile": zipped({"handler.py": "def handler(event, context): return 1"})}, Tags={"team": "a"},
    )
    settled_function(functions)
    functions.put_function_concurrency(FunctionName="tf", ReservedConcurrentExecutions=5)
    found = settled_function(functions)
    assert found["Concurrency"]["ReservedConcurrentExecutions"] == 5
    return found["Configuration"]["FunctionArn"]


def test_a_stream(clients):
    kinesis, _, _ = clients
    arn = create_stream(kinesis)
    assert arn == f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/tf"
    kinesis.update_shard_count(StreamName="tf", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    assert settled_stream(kinesis)["OpenShardCount"] == 2
    kinesis.increase_stream_retention_period(StreamName="tf", RetentionPeriodHours=48)
    assert settled_stream(kinesis)["RetentionPeriodHours"] == 48
    kinesis.decrease_stream_retention_period(StreamName="tf", RetentionPeriodHours=24)
    settled_stream(kinesis)
    kinesis.enable_enhanced_monitoring(StreamName="tf", ShardLevelMetrics=["IncomingBytes"])
    settled_stream(kinesis)
    kinesis.start_stream_encryption(StreamName="tf", EncryptionType="KMS", KeyId="alias/aws/kinesis")
    assert settled_stream(kinesis)["EncryptionType"] == "KMS"
    kinesis.stop_stream_encryption(StreamName="tf", EncryptionType="KMS", KeyId="alias/aws/kinesis")
    settled_stream(kinesis)
    kinesis.disable_enhanced_monitoring(StreamName="tf", ShardLevelMetrics=["IncomingBytes"])
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=2048)
    settled_stream(kinesis)
    kinesis.remove_tags_from_stream(StreamName="tf", TagKeys=["team"])
    kinesis.add_tags_to_stream(StreamName="tf", Tags={"owner": "b"})
    tags = kinesis.list_tags_for_stream(StreamName="tf")["Tags"]
    assert [(tag["Key"], tag["Value"]) for tag in tags] == [("owner", "b")]
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert settled_stream(kinesis)["StreamModeDetails"]["StreamMode"] == "ON_DEMAND"
    kinesis.delete_stream(StreamName="tf", EnforceConsumerDeletion=False)
    until(lambda: missing("ResourceNotFoundException", kinesis.describe_stream_summary, StreamName="tf"))


def test_a_role(clients):
    _, iam, _ = clients
    create_role(iam)
    changed = json.loads(TRUST)
    changed["Statement"][0]["Sid"] = "changed"
    iam.update_assume_role_policy(RoleName="tf", PolicyDocument=json.dumps(changed))
    iam.update_role_description(RoleName="tf", Description="described")
    iam.update_role(RoleName="tf", MaxSessionDuration=7200)
    iam.put_role_permissions_boundary(RoleName="tf", PermissionsBoundary=KINESIS)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="tf", PolicyName="inline", PolicyDocument=json.dumps(document))
    iam.tag_role(RoleName="tf", Tags=[{"Key": "team", "Value": "a"}, {"Key": "owner", "Value": "b"}])
    iam.untag_role(RoleName="tf", TagKeys=["team"])
    role, inline, _ = read_role(iam)
    assert role["AssumeRolePolicyDocument"] == changed
    assert (role["Description"], role["MaxSessionDuration"]) == ("described", 7200)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == KINESIS
    assert role["Tags"] == iam.list_role_tags(RoleName="tf")["Tags"] == [{"Key": "owner", "Value": "b"}]
    assert inline["inline"]["PolicyDocument"] == document
    iam.delete_role_permissions_boundary(RoleName="tf")
    assert "PermissionsBoundary" not in read_role(iam)[0]
    assert missing("DeleteConflict", iam.delete_role, RoleName="tf")
    assert iam.list_instance_profiles_for_role(RoleName="tf")["InstanceProfiles"] == []
    for policy in iam.list_attached_role_policies(RoleName="tf")["AttachedPolicies"]:
        iam.detach_role_policy(RoleName="tf", PolicyArn=policy["PolicyArn"])
    for name in iam.list_role_policies(RoleName="tf")["PolicyNames"]:
        iam.delete_role_policy(RoleName="tf", PolicyName=name)
    iam.delete_role(RoleName="tf")
    assert missing("NoSuchEntity", iam.get_role, RoleName="tf")


def test_a_function(clients):
    _, iam, functions = clients
    arn = create_function(functions, create_role(iam))
    functions.update_function_configuration(
        FunctionName="tf", Description="changed", Timeout=9, Environment={"Variables": {"NAME": "1"}}
    )
    settled_function(functions)
    functions.update_function_code(FunctionName="tf", ZipFile=zipped({"handler.py": "handler = lambda *_: 2"}))
    found = settled_function(functions)["Configuration"]
    assert (found["Description"], found["Timeout"]) == ("changed", 9)
    version = functions.publish_version(FunctionName="tf")["Version"]
    functions.get_waiter("published_version_active").wait(FunctionName="tf", Qualifier=version)
    assert functions.get_function(FunctionName="tf", Qualifier=version)["Configuration"]["Version"] == version
    functions.get_function_concurrency(FunctionName="tf")
    functions.tag_resource(Resource=arn, Tags={"owner": "b"})
    functions.untag_resource(Resource=arn, TagKeys=["team"])
    assert read_function(functions)["Tags"] == {"owner": "b"}
    functions.create_alias(FunctionName="tf", Name="live", FunctionVersion=version)
    functions.get_alias(FunctionName="tf", Name="live")
    functions.add_permission(
        FunctionName="tf", StatementId="s", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
        SourceArn="arn:aws:events:us-east-1:123456789012:rule/r",
    )
    assert "events.amazonaws.com" in functions.get_policy(FunctionName="tf")["Policy"]
    functions.remove_permission(FunctionName="tf", StatementId="s")
    functions.delete_alias(FunctionName="tf", Name="live")
    functions.delete_function_concurrency(FunctionName="tf")
    functions.delete_function(FunctionName="tf")
    until(lambda: missing("ResourceNotFoundException", functions.get_function, FunctionName="tf"))


def test_a_mapping(clients):
    kinesis, iam, functions = clients
    create_function(functions, create_role(iam))
    made = functions.create_event_source_mapping(
        EventSourceArn=create_stream(kinesis), FunctionName="tf", StartingPosition="LATEST", BatchSize=100,
        Enabled=True, Tags={"team": "a"},
    )
    uuid = made["UUID"]
    settled_mapping(functions, uuid, "Enabled")
    functions.update_event_source_mapping(UUID=uuid, FunctionName="tf", BatchSize=10, MaximumRetryAttempts=2)
    found = settled_mapping(functions, uuid, "Enabled")
    assert (found["BatchSize"], found["MaximumRetryAttempts"]) == (10, 2)
    functions.tag_resource(Resource=found["EventSourceMappingArn"], Tags={"owner": "b"})
    functions.untag_resource(Resource=found["EventSourceMappingArn"], TagKeys=["team"])
    assert functions.list_tags(Resource=found["EventSourceMappingArn"])["Tags"] == {"owner": "b"}
    functions.update_event_source_mapping(UUID=uuid, Enabled=False)
    settled_mapping(functions, uuid, "Disabled")
    functions.delete_event_source_mapping(UUID=uuid)
    until(lambda: missing("ResourceNotFoundException", functions.get_event_source_mapping, UUID=uuid))
