//! Events and results of every kind of JSON, and of none.

use super::{Case, common, module};

const EVENTS: &[&str] = &[
    "{}",
    "[]",
    "null",
    "true",
    "0",
    "-0",
    "1e300",
    "1e-7",
    "12345678901234567890",
    "\"\"",
    "\"h\\u00e9\\ud83d\\ude00\"",
    "\"héllo 😀 \\u2028 \u{7f} \\u0000\"",
    "\"\\ud800\"",
    "[1, 2.50, [ ], { }]",
    "{\"b\": 1, \"a\": {\"x\": [null]}, \"2\": 0, \"1\": 0}",
    "{\"a\": 1, \"a\": 2}",
    "{\"__proto__\": {\"x\": 1}}",
    " \n {} \n",
    "",
];

const VALUES: &str = "
class Own { constructor() { this.a = 1; } get b() { return 2; } }
const circular = { name: 'c' }; circular.self = circular;
exports.values = {
  undefined: undefined, null: null, nan: NaN, infinity: -Infinity, zero: -0, text: 'x\\u007fy\\u2028', bigint: 10n,
  nested_bigint: { a: [1n] }, circular, function: () => 1, symbol: Symbol('s'), nested: { f() {}, s: Symbol('s'), u: undefined },
  list: [undefined, () => 1, Symbol('s'), NaN], date: new Date(0), invalid_date: new Date(NaN), map: new Map([[1, 2]]), set: new Set([1]),
  buffer: Buffer.from('ab'), bytes: new Uint8Array([1, 2]), own: new Own(), error: new Error('as value'), regex: /x/g,
  boxed: [new String('s'), new Number(1), new Boolean(false)], to_json: { toJSON: () => ({ from: 'toJSON' }) },
  to_json_undefined: { toJSON: () => undefined }, to_json_throws: { toJSON() { throw new RangeError('no'); } }, lone: '\\ud800',
  proxy: new Proxy({ a: 1 }, {}), class: Own, empty: '',
};
";

const NAMES: &[&str] = &[
    "\"undefined\"",
    "\"null\"",
    "\"nan\"",
    "\"infinity\"",
    "\"zero\"",
    "\"text\"",
    "\"bigint\"",
    "\"nested_bigint\"",
    "\"circular\"",
    "\"function\"",
    "\"symbol\"",
    "\"nested\"",
    "\"list\"",
    "\"date\"",
    "\"invalid_date\"",
    "\"map\"",
    "\"set\"",
    "\"buffer\"",
    "\"bytes\"",
    "\"own\"",
    "\"error\"",
    "\"regex\"",
    "\"boxed\"",
    "\"to_json\"",
    "\"to_json_undefined\"",
    "\"to_json_throws\"",
    "\"lone\"",
    "\"proxy\"",
    "\"class\"",
    "\"empty\"",
];

const FILES: &[(&str, &str)] = &[("values.js", VALUES)];

pub(super) fn cases() -> Vec<Case> {
    vec![
        module("events: echo", "export const handler = async (event) => event;").events(EVENTS),
        module("events: no JSON", "export const handler = async (event) => event;").events(&["<no json>", "1"]).of_recorded_node(),
        module("events: large", "export const handler = async (event) => event.repeat(300000);").events(&["\"é\"", "\"x\""]),
        module("events: arguments", "export const handler = function () { return Promise.resolve([arguments.length, typeof arguments[2]]); };"),
        common("results: of promises", "const { values } = require('./values'); exports.handler = async (name) => values[name];")
            .files(FILES)
            .events(NAMES),
        common(
            "results: of context.succeed",
            "const { values } = require('./values'); exports.handler = (name, context) => context.succeed(values[name]);",
        )
        .files(FILES)
        .events(NAMES),
        common(
            "results: of callbacks that do not wait",
            "const { values } = require('./values'); exports.handler = (name, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; callback(null, values[name]); };",
        )
        .files(FILES)
        .events(NAMES),
        common("results: circular by a callback that waits", "const x = {}; x.x = x; exports.handler = (event, context, callback) => callback(null, x);"),
        common("results: a function by a callback that waits", "exports.handler = (event, context, callback) => callback(null, () => 1);"),
        common("results: circular by a later callback", "const x = {}; x.x = x; exports.handler = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setTimeout(() => callback(null, x), 5); };"),
    ]
}
