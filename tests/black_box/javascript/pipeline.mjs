// The whole pipeline through the AWS SDK for JavaScript v3; its Kinesis client speaks HTTP/2 with prior knowledge.
// Arguments: endpoint, role ARN, zip of a Node.js function, number of records. Prints the mapping's UUID.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const load = createRequire(process.env.MILLSTREAM_TEST_NODE_MODULES + '/');
const kinesisPackage = load('@aws-sdk/client-kinesis');
const lambdaPackage = load('@aws-sdk/client-lambda');
const [endpoint, role, zip, count] = process.argv.slice(2);
const settings = {
  endpoint,
  region: 'eu-central-1',
  credentials: { accessKeyId: '123456789012', secretAccessKey: 'secret' },
};
const kinesis = new kinesisPackage.Kinesis(settings);
const lambda = new lambdaPackage.Lambda(settings);

await lambda.createFunction({
  FunctionName: 'js-function',
  Runtime: 'nodejs20.x',
  Handler: 'index.handler',
  Role: role,
  Code: { ZipFile: readFileSync(zip) },
});
await lambdaPackage.waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 30, minDelay: 1 }, { FunctionName: 'js-function' });
await kinesis.createStream({ StreamName: 'js-stream', ShardCount: 2 });
let summary;
do {
  summary = (await kinesis.describeStreamSummary({ StreamName: 'js-stream' })).StreamDescriptionSummary;
} while (summary.StreamStatus !== 'ACTIVE');
const mapping = await lambda.createEventSourceMapping({
  FunctionName: 'js-function',
  EventSourceArn: summary.StreamARN,
  StartingPosition: 'TRIM_HORIZON',
});
const Records = Array.from({ length: Number(count) }, (_, i) => ({
  PartitionKey: `key-${i}`,
  Data: Buffer.from(`js record ${i}`),
}));
const put = await kinesis.putRecords({ StreamName: 'js-stream', Records });
if (put.FailedRecordCount) throw new Error(`${put.FailedRecordCount} records failed`);

let seen = 0;
for (const shard of (await kinesis.listShards({ StreamName: 'js-stream' })).Shards) {
  const { ShardIterator } = await kinesis.getShardIterator({
    StreamName: 'js-stream',
    ShardId: shard.ShardId,
    ShardIteratorType: 'TRIM_HORIZON',
  });
  const { Records: records } = await kinesis.getRecords({ ShardIterator });
  seen += records.length;
}
if (seen !== Number(count)) throw new Error(`${seen} of ${count} records were read back`);
try {
  await kinesis.describeStreamSummary({ StreamName: 'nothing-here' });
  throw new Error('a missing stream was found');
} catch (error) {
  if (error.name !== 'ResourceNotFoundException') throw error;
}
console.log(mapping.UUID);
