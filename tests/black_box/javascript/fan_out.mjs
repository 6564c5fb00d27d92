// Enhanced fan-out through the AWS SDK for JavaScript v3, over HTTP/2 with prior knowledge.
// Arguments: endpoint, region, stream ARN, number of records. The stream has one shard and is empty.
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const load = createRequire(process.env.MILLSTREAM_TEST_NODE_MODULES + '/');
const { Kinesis } = load('@aws-sdk/client-kinesis');
const [endpoint, region, StreamARN, count] = process.argv.slice(2);
const kinesis = new Kinesis({
  endpoint,
  region,
  credentials: { accessKeyId: '123456789012', secretAccessKey: 'secret' },
  maxAttempts: 1,
});
const ShardId = 'shardId-000000000000';

const { ConsumerARN } = (await kinesis.registerStreamConsumer({ StreamARN, ConsumerName: 'js' })).Consumer;
while ((await kinesis.describeStreamConsumer({ ConsumerARN })).ConsumerDescription.ConsumerStatus !== 'ACTIVE');

const put = (text) => kinesis.putRecord({ StreamARN, PartitionKey: 'k', Data: Buffer.from(text) });

async function subscribe(StartingPosition) {
  const { EventStream } = await kinesis.subscribeToShard({ ConsumerARN, ShardId, StartingPosition });
  return EventStream[Symbol.asyncIterator]();
}

/** Reads until so many records have come; gives their texts and where to go on. */
async function read(events, wanted) {
  const texts = [];
  let continuation;
  while (texts.length < wanted) {
    const { value, done } = await events.next();
    if (done) throw new Error(`the subscription ended after ${texts}`);
    const event = value.SubscribeToShardEvent;
    texts.push(...event.Records.map((record) => Buffer.from(record.Data).toString()));
    continuation = event.ContinuationSequenceNumber;
  }
  return { texts, continuation };
}

const first = await subscribe({ Type: 'LATEST' });
const began = Date.now();
const expected = Array.from({ length: Number(count) }, (_, i) => `record ${i}`);
const reading = read(first, expected.length);
for (const text of expected) await put(text);
const { texts, continuation } = await reading;
if (texts.join() !== expected.join()) throw new Error(`received ${texts}`);
console.log(`received ${texts.length} records in order`);

try {
  await subscribe({ Type: 'LATEST' });
  throw new Error('a second subscription was let in at once');
} catch (error) {
  if (error.name !== 'ResourceInUseException') throw error;
}
await sleep(Math.max(0, began + 5100 - Date.now()));
const second = await subscribe({ Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: continuation });
await put('one more');
const more = await read(second, 1);
if (more.texts.join() !== 'one more') throw new Error(`received ${more.texts}`);
console.log('went on after the continuation number');

// Whatever was on its way when the second took over, the exception comes last.
try {
  while (!(await first.next()).done);
  throw new Error('the first subscription ended without a word');
} catch (error) {
  console.log(`the first subscription ended with ${error.name}`);
}
await kinesis.deregisterStreamConsumer({ ConsumerARN });
process.exit(0);
