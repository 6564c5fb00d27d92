// The demo's function: reports each batch as one JSON line; one record fails twice before it succeeds.
const attempts = new Map();

exports.handler = async (event) => {
  const now = (performance.timeOrigin + performance.now()) / 1000;
  const records = event.Records.map((r) => JSON.parse(Buffer.from(r.kinesis.data, 'base64')));
  for (const record of records) {
    const tried = attempts.get(record.number) ?? 0;
    if ((record.fails ?? 0) > tried) {
      attempts.set(record.number, tried + 1);
      report('failed', event, records, now, record.number, tried + 1);
      throw new Error(`record ${record.number} is not ready yet`);
    }
  }
  report('done', event, records, now, null, null);
};

function report(outcome, event, records, now, culprit, attempt) {
  const line = {
    run: records[0].run,
    outcome,
    shard: event.Records[0].eventID.split(':')[0],
    numbers: records.map((r) => r.number),
    latencies_ms: records.map((r) => Math.round((now - r.put_at) * 1e6) / 1e3),
    culprit,
    attempt,
  };
  process.stdout.write(`demo ${JSON.stringify(line)}\n`);
}
