"""Every operation of Kinesis through boto3, the AWS CLI and the JavaScript SDK, as their users see it."""

import json
import os
import pathlib
import subprocess

import botocore.exceptions
import pytest

from millstream import Server, until

JAVASCRIPT = pathlib.Path(__file__).parent / "javascript"
ARN = "arn:aws:kinesis:us-west-2:123456789012:stream"


def summary(kinesis, name):
    return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]


def wait_active(kinesis, name):
    until(lambda: summary(kinesis, name)["StreamStatus"] == "ACTIVE", what=f"{name} ACTIVE")


def test_shards_change(server):
    kinesis = server.client("kinesis")
    server.stream("s", shards=1)
    kinesis.split_shard(StreamName="s", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    wait_active(kinesis, "s")
    shards = kinesis.list_shards(StreamName="s")["Shards"]
    assert [shard.get("ParentShardId") for shard in shards] == [None, "shardId-000000000000", "shardId-000000000000"]
    assert "EndingSequenceNumber" in shards[0]["SequenceNumberRange"]
    kinesis.merge_shards(
        StreamARN=f"{ARN}/s", ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002"
    )
    wait_active(kinesis, "s")
    merged = kinesis.list_shards(StreamName="s", ShardFilter={"Type": "AT_LATEST"})["Shards"]
    assert len(merged) == 1 and merged[0]["AdjacentParentShardId"] == "shardId-000000000002"
    answer = kinesis.update_shard_count(StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (1, 2)
    wait_active(kinesis, "s")
    with pytest.raises(kinesis.exceptions.LimitExceededException, match="cannot scale up over double"):
        kinesis.update_shard_count(StreamName="s", TargetShardCount=5, ScalingType="UNIFORM_SCALING")


def test_capacity_and_account_settings(server):
    kinesis = server.client("kinesis")
    server.stream("c", shards=2)
    kinesis.update_stream_mode(StreamARN=f"{ARN}/c", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    wait_active(kinesis, "c")
    assert summary(kinesis, "c")["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    with pytest.raises(botocore.exceptions.ClientError, match="MinimumThroughputBillingCommitment"):
        kinesis.update_stream_warm_throughput(StreamName="c", WarmThroughputMiBps=5)
    status = kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    assert status["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED"
    kinesis.update_stream_warm_throughput(StreamName="c", WarmThroughputMiBps=5)
    wait_active(kinesis, "c")
    assert summary(kinesis, "c")["WarmThroughput"] == {"TargetMiBps": 5, "CurrentMiBps": 5}
    settings = kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]
    assert (settings["EarliestAllowedEndAt"] - settings["StartedAt"]).total_seconds() == 24 * 3600
    kinesis.update_max_record_size(StreamARN=f"{ARN}/c", MaxRecordSizeInKiB=2048)
    large = os.urandom(2 * 1024 * 1024)
    stored = kinesis.put_record(StreamName="c", PartitionKey="k", Data=large)
    iterator = kinesis.get_shard_iterator(
        StreamName="c", ShardId=stored["ShardId"], ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=stored["SequenceNumber"],
    )["ShardIterator"]
    assert kinesis.get_records(ShardIterator=iterator)["Records"][0]["Data"] == large
    with pytest.raises(botocore.exceptions.ClientError, match="length less than or equal to 2097152"):
        kinesis.put_record(StreamName="c", PartitionKey="k", Data=large + b"x")


def test_policies_tags_and_monitoring(server):
    kinesis = server.client("kinesis")
    arn = server.stream("p")
    assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == "{}"
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": "kinesis:PutRecord", "Resource": arn
            },
        }
    )
    kinesis.put_resource_policy(ResourceARN=arn, Policy=policy)
    assert kinesis.get_resource_policy(ResourceARN=arn)["Policy"] == policy
    other = server.client("kinesis", key="999999999999")
    other.put_record(StreamARN=arn, PartitionKey="k", Data=b"from another account")
    with pytest.raises(botocore.exceptions.ClientError, match="no resource-based policy allows"):
        other.list_shards(StreamARN=arn)
    kinesis.delete_resource_policy(ResourceARN=arn)
    with pytest.raises(botocore.exceptions.ClientError, match="not authorized"):
        other.put_record(StreamARN=arn, PartitionKey="k", Data=b"x")

    kinesis.tag_resource(ResourceARN=arn, Tags={"team": "mill", "stage": "test"})
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["stage"])
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "mill"}]
    assert kinesis.list_tags_for_stream(StreamName="p")["Tags"] == [{"Key": "team", "Value": "mill"}]

    kinesis.put_record(StreamName="p", PartitionKey="k", Data=b"counted")
    enabled = kinesis.enable_enhanced_monitoring(StreamName="p", ShardLevelMetrics=["ALL"])
    assert (enabled["CurrentShardLevelMetrics"], len(enabled["DesiredShardLevelMetrics"])) == ([], 7)
    metrics = server.shell("curl -sf $AWS_ENDPOINT_URL/metrics").stdout
    assert 'millstream_shard_incoming_records_total{account="123456789012",region="us-west-2",stream="p"' in metrics
    disabled = kinesis.disable_enhanced_monitoring(StreamName="p", ShardLevelMetrics=["ALL"])
    assert disabled["DesiredShardLevelMetrics"] == []


def test_shard_limits_of_aws(tmp_path):
    with Server(tmp_path, "--shard-limits", "aws") as server:
        server.stream("limited")
        kinesis = server.client("kinesis")
        records = [{"PartitionKey": "k", "Data": b"x" * 900}] * 500
        answers = [kinesis.put_records(StreamName="limited", Records=records) for _ in range(4)]
        refused = [entry for answer in answers for entry in answer["Records"] if "ErrorCode" in entry]
        assert 0 < len(refused) == sum(answer["FailedRecordCount"] for answer in answers)
        assert refused[0] == {
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream limited under account 123456789012.",
        }
        with pytest.raises(kinesis.exceptions.ProvisionedThroughputExceededException, match="Rate exceeded for Shard - "):
            for _ in range(50):
                kinesis.get_shard_iterator(
                    StreamName="limited", ShardId="0", ShardIteratorType="TRIM_HORIZON"
                )


# A whole life of a stream by the command line, one operation a line.
COMMANDS = f"""
create-stream --stream-name cli --shard-count 1
wait stream-exists --stream-name cli
describe-stream --stream-name cli
describe-stream-summary --stream-name cli
list-streams
describe-limits
put-record --stream-name cli --partition-key k --data hello
put-records --stream-name cli --records Data=aGk=,PartitionKey=k
split-shard --stream-name cli --shard-to-split 0 --new-starting-hash-key 170141183460469231731687303715884105728
wait stream-exists --stream-name cli
merge-shards --stream-name cli --shard-to-merge shardId-000000000001 --adjacent-shard-to-merge shardId-000000000002
wait stream-exists --stream-name cli
update-shard-count --stream-name cli --target-shard-count 2 --scaling-type UNIFORM_SCALING
wait stream-exists --stream-name cli
list-shards --stream-name cli
increase-stream-retention-period --stream-name cli --retention-period-hours 48
decrease-stream-retention-period --stream-name cli --retention-period-hours 24
add-tags-to-stream --stream-name cli --tags a=1
list-tags-for-stream --stream-name cli
remove-tags-from-stream --stream-name cli --tag-keys a
tag-resource --resource-arn {ARN}/cli --tags a=1
list-tags-for-resource --resource-arn {ARN}/cli
untag-resource --resource-arn {ARN}/cli --tag-keys a
enable-enhanced-monitoring --stream-name cli --shard-level-metrics ALL
disable-enhanced-monitoring --stream-name cli --shard-level-metrics ALL
update-stream-mode --stream-arn {ARN}/cli --stream-mode-details StreamMode=ON_DEMAND
update-account-settings --minimum-throughput-billing-commitment Status=ENABLED
describe-account-settings
update-stream-warm-throughput --stream-name cli --warm-throughput-mi-bps 3
update-max-record-size --stream-arn {ARN}/cli --max-record-size-in-ki-b 2048
put-resource-policy --resource-arn {ARN}/cli --policy '{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*","Action":"kinesis:PutRecord","Resource":"*"}}}}'
get-resource-policy --resource-arn {ARN}/cli
delete-resource-policy --resource-arn {ARN}/cli
register-stream-consumer --stream-arn {ARN}/cli --consumer-name app
list-stream-consumers --stream-arn {ARN}/cli
describe-stream-consumer --stream-arn {ARN}/cli --consumer-name app
deregister-stream-consumer --stream-arn {ARN}/cli --consumer-name app
"""


def test_every_command_of_the_cli(server):
    for line in COMMANDS.strip().splitlines():
        server.shell(f"aws kinesis {line}")
    shown = server.shell(
        "iterator=$(aws kinesis get-shard-iterator --stream-name cli --shard-id 0 --shard-iterator-type TRIM_HORIZON"
        " --query ShardIterator --output text); aws kinesis get-records --shard-iterator $iterator"
    ).stdout
    answer = json.loads(shown)
    assert [record["Data"] for record in answer["Records"]] == ["aGVsbG8=", "YUdrPQ=="]
    assert "NextShardIterator" not in answer and len(answer["ChildShards"]) == 2
    server.shell("aws kinesis delete-stream --stream-name cli")
    server.shell("aws kinesis wait stream-not-exists --stream-name cli")


def test_every_operation_of_the_javascript_client(server):
    done = subprocess.run(
        ["node", str(JAVASCRIPT / "kinesis.mjs"), server.endpoint],
        capture_output=True, text=True, timeout=60, env={**os.environ, **server.environment()},
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{server.log.read_text()[-3000:]}"
