// The benchmark's function: counts records, and the time from put to handler as each record's first bytes tell it.
exports.handler = async (event) => {
  const now = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  const buckets = {};
  for (const record of event.Records) {
    // Twelve characters hold the eight bytes of the time of the put, and one more.
    const start = Buffer.from(record.kinesis.data.slice(0, 12), 'base64');
    const at = bucket(Math.max(now - Number(start.readBigUInt64LE(0)), 0));
    buckets[at] = (buckets[at] ?? 0) + 1;
  }
  process.stdout.write(`bench ${JSON.stringify({ records: event.Records.length, latencies: { buckets } })}\n`);
};

// As the histogram of `millstream bench` counts: sixteen buckets for each power of two.
function bucket(micros) {
  const shift = Math.max(Math.floor(Math.log2(micros)), 4) - 4;
  return shift * 16 + Math.floor(micros / 2 ** shift);
}
