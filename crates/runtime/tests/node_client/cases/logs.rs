//! The console and the streams below it.

use super::{Case, common, module};

pub(super) fn cases() -> Vec<Case> {
    vec![
        common(
            "console: levels",
            "exports.handler = async () => { for (const level of ['trace', 'debug', 'log', 'info', 'warn', 'error', 'fatal']) console[level]('at', level); };",
        )
        .events(&["1", "2"]),
        common(
            "console: formats",
            "exports.handler = async () => { console.log('%s is %d or %i, %f %j %o %O %c%%', 'x', 1.5, 1.5, '2.5', { a: 1 }, [1], { b: { c: { d: {} } } }, 'css', 'more', 2); console.log('%s'); console.log('100%', 1); console.log(1, '%s', 2); };",
        ),
        common(
            "console: values",
            "class Own { constructor() { this.a = 1; } } exports.handler = async () => { console.log(); console.log(undefined); console.log(null, true, -0, 10n, Symbol('s')); console.log({ a: [1, { b: new Map([[1, 'x']]) }], f() {}, own: new Own() }); console.log([undefined, , 'text']); console.log('', ''); console.log(Buffer.from('ab'), new Date(0), /x/); };",
        ),
        common("console: lines", "exports.handler = async () => { console.log('one\\ntwo\\n\\nfour\\n'); console.log('a\\r\\nb\\rc'); console.log('\\n'); console.error('tab\\tand \\u001b[31mcolour\\u001b[0m'); };"),
        common("console: unicode", "exports.handler = async () => { console.log('héllo 😀 \\ud800 \\u2028 \\u0000 end'); };"),
        common("console: errors", "exports.handler = async () => { const e = new TypeError('shown'); console.log(e); console.error('with text', e); console.warn({ e }); console.log(Object.assign(new Error('fields'), { code: 'E', list: [1] })); console.log(new Error('outer', { cause: 'inner' })); };"),
        common("console: trace shows no stack", "exports.handler = async () => { console.trace('here'); console.trace(); };"),
        common(
            "console: other methods",
            "exports.handler = async () => { console.dir({ a: { b: { c: {} } } }); console.assert(true, 'no'); console.assert(false, 'asserted %s', 'x'); console.assert(false); console.count(); console.count(); console.countReset(); console.count('own'); console.dirxml('xml', 1); };",
        ),
        common("console: table", "exports.handler = async () => { console.table([{ a: 1, b: 'x' }, { a: 2 }]); console.table(5); };").of_recorded_node(),
        common("console: groups", "exports.handler = async () => { console.group('group'); console.log('inside'); console.info('two\\nlines'); console.groupEnd(); console.log('outside'); };"),
        common("console: timers", "exports.handler = async () => { console.timeEnd('none'); console.time('t'); console.time('t'); console.log('end'); };"),
        common("console: methods alone", "const { log, error } = console; exports.handler = async () => { log('alone'); [1, 2].forEach(console.log); error.call(null, 'null'); };"),
        common("console: one of its own", "exports.handler = async () => { new console.Console(process.stdout).log('own\\nconsole'); const { Console } = require('console'); new Console({ stdout: process.stderr }).log('to stderr'); };"),
        common("console: required", "const c = require('console'); exports.handler = async () => { c.log('required', c === console); };"),
        module("console: imported", "import c, { log } from 'node:console'; export const handler = async () => { c.log('imported', c === console); };"),
        common("console: at load", "console.log('at load'); console.error('two\\nlines'); exports.handler = async () => { console.log('in handler'); };"),
        common("console: in a timer between events", "let again, done; exports.handler = (event) => new Promise((resolve) => { if (event === 2) { again = true; done = resolve; return; } const timer = setInterval(() => { if (!again) return; clearInterval(timer); console.log('timer'); done(); }, 1); resolve(); });").events(&["1", "2"]),
        common("console: replaced by the function", "const lines = []; console.log = (...values) => lines.push(values); exports.handler = async () => { console.log('x'); console.info('y'); return lines; };"),
        common("console: long", "exports.handler = async () => { console.log('x'.repeat(100000)); console.log('line\\n'.repeat(2000)); };"),
        common("console: after an error", "exports.handler = async (event) => { console.log('before', event); if (event === 1) throw new Error('no'); };").events(&["1", "2"]),
        common("streams: written directly", "exports.handler = async () => { process.stdout.write('out\\n'); process.stderr.write('err\\n'); process.stdout.write('no end'); };"),
        common("streams: written by descriptor", "const fs = require('fs'); exports.handler = async () => { fs.writeSync(1, 'out\\nmore\\n'); fs.writeSync(2, 'err\\n'); };"),
        common("streams: a child's", "exports.handler = async () => { require('child_process').execSync('echo child', { stdio: 'inherit' }); };"),
        common("warnings of Node.js", "exports.handler = async () => { process.emitWarning('careful', 'OwnWarning'); await new Promise((resolve) => setTimeout(resolve, 20)); };"),
    ]
}
