// A whole life of a stream through the AWS SDK for JavaScript v3, which speaks HTTP/2.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.MILLSTREAM_TEST_NODE_MODULES, "index.js"));
const sdk = require("@aws-sdk/client-kinesis");

const StreamName = "javascript";
const StreamARN = `arn:aws:kinesis:${process.env.AWS_DEFAULT_REGION}:123456789012:stream/${StreamName}`;
const region = { region: process.env.AWS_DEFAULT_REGION };
const kinesis = new sdk.KinesisClient({ ...region, endpoint: process.argv[2], maxAttempts: 1 });

const call = (name, input = {}) => kinesis.send(new sdk[`${name}Command`](input));

async function active() {
  for (;;) {
    const { StreamDescriptionSummary } = await call("DescribeStreamSummary", { StreamName });
    if (StreamDescriptionSummary.StreamStatus === "ACTIVE") return StreamDescriptionSummary;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

await call("CreateStream", { StreamName, ShardCount: 1 });
await active();
await call("DescribeStream", { StreamName });
assert.deepEqual((await call("ListStreams")).StreamNames, [StreamName]);
await call("DescribeLimits");
await call("PutRecord", { StreamName, PartitionKey: "k", Data: Buffer.from("one") });
const { FailedRecordCount } = await call("PutRecords", {
  StreamName,
  Records: [{ PartitionKey: "k", Data: Buffer.from("two") }],
});
assert.equal(FailedRecordCount, 0);
await call("SplitShard", { StreamName, ShardToSplit: "0", NewStartingHashKey: (2n ** 127n).toString() });
await active();
await call("MergeShards", { StreamName, ShardToMerge: "shardId-1", AdjacentShardToMerge: "shardId-2" });
await active();
await call("UpdateShardCount", { StreamName, TargetShardCount: 2, ScalingType: "UNIFORM_SCALING" });
assert.equal((await active()).OpenShardCount, 2);
assert.equal((await call("ListShards", { StreamName })).Shards.length, 6);

const { ShardIterator } = await call("GetShardIterator", { StreamName, ShardId: "0", ShardIteratorType: "TRIM_HORIZON" });
const page = await call("GetRecords", { ShardIterator });
assert.deepEqual(page.Records.map((record) => Buffer.from(record.Data).toString()), ["one", "two"]);
assert.equal(page.NextShardIterator, undefined);
assert.equal(page.ChildShards.length, 2);

await call("IncreaseStreamRetentionPeriod", { StreamName, RetentionPeriodHours: 48 });
await call("DecreaseStreamRetentionPeriod", { StreamName, RetentionPeriodHours: 24 });
await call("AddTagsToStream", { StreamName, Tags: { a: "1" } });
assert.deepEqual((await call("ListTagsForStream", { StreamName })).Tags, [{ Key: "a", Value: "1" }]);
await call("RemoveTagsFromStream", { StreamName, TagKeys: ["a"] });
await call("TagResource", { ResourceARN: StreamARN, Tags: { b: "2" } });
assert.deepEqual((await call("ListTagsForResource", { ResourceARN: StreamARN })).Tags, [{ Key: "b", Value: "2" }]);
await call("UntagResource", { ResourceARN: StreamARN, TagKeys: ["b"] });
await call("EnableEnhancedMonitoring", { StreamName, ShardLevelMetrics: ["ALL"] });
await call("DisableEnhancedMonitoring", { StreamName, ShardLevelMetrics: ["ALL"] });
await call("UpdateStreamMode", { StreamARN, StreamModeDetails: { StreamMode: "ON_DEMAND" } });
await call("UpdateAccountSettings", { MinimumThroughputBillingCommitment: { Status: "ENABLED" } });
const settings = await call("DescribeAccountSettings");
assert.ok(settings.MinimumThroughputBillingCommitment.StartedAt instanceof Date);
await call("UpdateStreamWarmThroughput", { StreamName, WarmThroughputMiBps: 3 });
await active();
await call("UpdateMaxRecordSize", { StreamARN, MaxRecordSizeInKiB: 2048 });
const Policy = JSON.stringify({
  Version: "2012-10-17",
  Statement: { Effect: "Allow", Principal: "*", Action: "kinesis:PutRecord", Resource: "*" },
});
await call("PutResourcePolicy", { ResourceARN: StreamARN, Policy });
assert.equal((await call("GetResourcePolicy", { ResourceARN: StreamARN })).Policy, Policy);
await call("DeleteResourcePolicy", { ResourceARN: StreamARN });
await call("DeleteStream", { StreamName });
await assert.rejects(async () => {
  for (;;) await call("DescribeStream", { StreamName });
}, { name: "ResourceNotFoundException" });
kinesis.destroy();
