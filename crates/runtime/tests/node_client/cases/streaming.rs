//! Handlers that write to a stream.

use super::{Case, common, module};

const TWO: &[&str] = &["1", "2"];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = successes();
    cases.extend(failures());
    cases
}

fn successes() -> Vec<Case> {
    vec![
        module("stream: writes", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('one '); stream.write('two'); stream.end(); });").events(TWO),
        module("stream: end with text", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.end('last ' + event); });").events(TWO),
        module("stream: only end", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.end(); });").events(TWO),
        module("stream: later", "export const handler = awslambda.streamifyResponse(async (event, stream) => { for (const n of [1, 2, 3]) { stream.write(String(n)); await new Promise((resolve) => setTimeout(resolve, 5)); } stream.end(); });"),
        module("stream: end after the handler", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('a'); setTimeout(() => stream.end('b'), 10); });").events(TWO),
        module("stream: content type", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.setContentType('text/html'); stream.write('<p>'); stream.end(); });"),
        module(
            "stream: prelude",
            "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'X-Own': 'é' }, cookies: ['a=b'] }); stream.write('body'); stream.end(); });",
        ),
        module("stream: prelude, only end", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream = awslambda.HttpResponseStream.from(stream, { statusCode: 204 }); stream.end(); });"),
        module("stream: prelude, end with text", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream = awslambda.HttpResponseStream.from(stream, { statusCode: 200 }); stream.end('text'); });"),
        module("stream: kinds of chunks", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write(Buffer.from('buffer ')); stream.write(new Uint8Array([65, 66])); stream.write({ a: 1 }); stream.write([2]); stream.write(3); stream.write('ff', 'hex'); stream.end(); });"),
        module("stream: pipeline", "import { pipeline } from 'stream/promises'; import { Readable } from 'stream'; export const handler = awslambda.streamifyResponse(async (event, stream) => { await pipeline(Readable.from(['a', 'b', 'c']), stream); });").events(TWO),
        module("stream: pipe", "import { Readable } from 'stream'; export const handler = awslambda.streamifyResponse(async (event, stream) => { Readable.from(['a', 'b']).pipe(stream); await new Promise((resolve) => stream.on('finish', resolve)); });").events(TWO),
        module("stream: gzip", "import { pipeline } from 'stream/promises'; import { Readable } from 'stream'; import zlib from 'zlib'; export const handler = awslambda.streamifyResponse(async (event, stream) => { await pipeline(Readable.from(['a'.repeat(100)]), zlib.createGzip(), zlib.createGunzip(), stream); });"),
        module("stream: large, with drain", "export const handler = awslambda.streamifyResponse(async (event, stream) => { for (let n = 0; n < 40; n += 1) { if (!stream.write('x'.repeat(50000))) await new Promise((resolve) => stream.once('drain', resolve)); } stream.end(); });"),
        module("stream: write's callback", "export const handler = awslambda.streamifyResponse(async (event, stream) => { await new Promise((resolve) => stream.write('a', 'utf8', resolve)); await new Promise((resolve) => stream.write('b', resolve)); stream.end(); });"),
        module("stream: finish and close", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.on('finish', () => console.log('finish')); stream.end('x'); });"),
        module("stream: high water mark", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.end('x'); }, { highWaterMark: 10 });"),
        module("stream: returned value is ignored", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.end('x'); return 'value'; });").events(TWO),
        module("stream: waits for a timer", "export const handler = awslambda.streamifyResponse(async (event, stream) => { setTimeout(() => console.log('timer'), 20); stream.end('x'); });").events(TWO),
        module("stream: does not wait when told so", "export const handler = awslambda.streamifyResponse(async (event, stream, context) => { context.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 100000); stream.end('x'); });").events(TWO),
        module("stream: context", "export const handler = awslambda.streamifyResponse(async (event, stream, context) => { stream.write(JSON.stringify(context)); stream.end(JSON.stringify(Object.keys(context))); });"),
        module("stream: arguments", "export const handler = awslambda.streamifyResponse(async function () { arguments[1].end(String(arguments.length)); });"),
        module("stream: properties", "export const handler = awslambda.streamifyResponse(async (event, stream) => { const seen = () => [stream.writable, stream.writableEnded, stream.destroyed, stream.writableObjectMode, typeof stream.setContentType, typeof stream.pipe]; const before = seen(); stream.write('x'); const between = seen(); stream.end(); console.log(JSON.stringify([before, between, seen()])); });"),
        common("stream: CommonJS", "exports.handler = awslambda.streamifyResponse(async (event, stream) => { stream.end('common'); });"),
    ]
}

fn failures() -> Vec<Case> {
    vec![
        module("stream fails: before writing", "export const handler = awslambda.streamifyResponse(async () => { throw new TypeError('early'); });").events(TWO),
        module("stream fails: in the middle", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); throw Object.assign(new Error('middle'), { code: 'E' }); });").events(TWO),
        module("stream fails: text", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); throw 'text'; });").events(TWO),
        module("stream fails: null", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); throw null; });").events(TWO),
        module("stream fails: thrown at once", "export const handler = awslambda.streamifyResponse((event, stream) => { throw new Error('sync'); });").events(TWO),
        module("stream fails: with a prelude", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream = awslambda.HttpResponseStream.from(stream, { statusCode: 200 }); stream.write('part'); throw new Error('middle'); });"),
        module("stream fails: with a prelude before writing", "export const handler = awslambda.streamifyResponse(async (event, stream) => { awslambda.HttpResponseStream.from(stream, { statusCode: 200 }); throw new Error('early'); });"),
        module("stream fails: not async", "export const handler = awslambda.streamifyResponse((event, stream) => { stream.write('x'); });").events(TWO),
        module("stream fails: after the end", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.end('whole'); throw new Error('after'); });").events(TWO),
        module("stream fails: content type too late", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('x'); stream.setContentType('text/html'); });"),
        module("stream fails: write after the end", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.on('error', (error) => console.log(error.code)); stream.end('x'); stream.write('y'); });"),
        module("stream fails: write of undefined", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write(undefined); stream.end(); });"),
        module("stream fails: pipeline", "import { pipeline } from 'stream/promises'; import { Readable } from 'stream'; export const handler = awslambda.streamifyResponse(async (event, stream) => { await pipeline(Readable.from((function* () { yield 'a'; throw new Error('source'); })()), stream); });"),
        module("stream fails: uncaught in a timer", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); setTimeout(() => { throw new Error('late'); }, 5); await new Promise((resolve) => setTimeout(resolve, 60000)); });"),
        module("stream fails: unhandled rejection", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); Promise.reject(new Error('lost')); await new Promise((resolve) => setTimeout(resolve, 60000)); });"),
        module("stream fails: destroyed", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); await new Promise((resolve) => setTimeout(resolve, 20)); stream.destroy(); await new Promise((resolve) => setTimeout(resolve, 60000)); });"),
        module("stream fails: destroyed with an error", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); await new Promise((resolve) => setTimeout(resolve, 20)); stream.destroy(new Error('broken')); await new Promise((resolve) => setTimeout(resolve, 60000)); });"),
        module("stream fails: exit", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); await new Promise((resolve) => setTimeout(resolve, 50)); process.exit(3); });"),
        module("stream fails: no JSON", "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.end('x'); });").events(&["", "1"]),
    ]
}
