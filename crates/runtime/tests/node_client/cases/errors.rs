//! Errors of every kind, on every way out of a handler, and those nobody caught.

use super::{Case, common, module};

const VALUES: &str = "
class Own extends Error {}
class Named extends Error { constructor(m) { super(m); this.name = 'Named'; this.code = 'E_NAMED'; this.extra = { a: [1] }; } }
class Proto extends Error {} Proto.prototype.name = 'Proto';
const circular = { name: 'c' }; circular.self = circular;
const with_ = (fields, error = new Error('with')) => Object.assign(error, fields);
exports.values = {
  error: () => new Error('plain'), empty_message: () => new Error(''), type_error: () => new TypeError('typed'), own: () => new Own('own'),
  named: () => new Named('named'), proto: () => new Proto('proto'), cause: () => new Error('outer', { cause: new Error('inner') }),
  aggregate: () => new AggregateError([new Error('one'), 2], 'many'), lines: () => new Error('one\\ntwo\\n'),
  special: () => new Error('del \\u007f, é 😀 \\u0001 \"quoted\"'), special_name: () => with_({ name: 'Nämé\\u007f' }), number_name: () => with_({ name: 7 }),
  empty_name: () => with_({ name: '' }), number_message: () => with_({ message: 5 }), no_stack: () => with_({ stack: undefined }),
  empty_stack: () => with_({ stack: '' }), number_stack: () => with_({ stack: 3 }), fields: () => with_({ code: 'E', status: 404, list: [1], f() {}, u: undefined }),
  circular_field: () => with_({ circular }), bigint_field: () => with_({ n: 1n }), error_field: () => with_({ inner: new TypeError('in') }), own_type: () => with_({ errorType: 'Mine', errorMessage: 'my' }),
  to_json: () => with_({ toJSON: () => 'as json' }), text: () => 'text', empty_text: () => '', number: () => 42, zero: () => 0, true: () => true, false: () => false,
  bigint: () => 10n, object: () => ({ a: 1 }), list: () => [1, [2]], like_error: () => ({ name: 'Like', message: 'an error', stack: 'Like: an error\\n    at /var/task/x' }),
  half_error: () => ({ name: 'Half', message: 'an error' }), circular: () => circular, function: () => function f() {}, to_string: () => ({ toString: () => 'own text' }),
  date: () => new Date(0), null: () => null, undefined: () => undefined, frozen: () => Object.freeze(new Error('frozen')),
  other_realm: () => require('vm').runInNewContext(\"new RangeError('elsewhere')\"), dom: () => new DOMException('aborted', 'AbortError'),
};
";

/// All of them but those that end AWS's client: symbols and objects that cannot be made text.
const NAMES: &[&str] = &[
    "\"error\"",
    "\"empty_message\"",
    "\"type_error\"",
    "\"own\"",
    "\"named\"",
    "\"proto\"",
    "\"cause\"",
    "\"aggregate\"",
    "\"lines\"",
    "\"special\"",
    "\"special_name\"",
    "\"number_name\"",
    "\"empty_name\"",
    "\"number_message\"",
    "\"no_stack\"",
    "\"empty_stack\"",
    "\"number_stack\"",
    "\"fields\"",
    "\"circular_field\"",
    "\"bigint_field\"",
    "\"error_field\"",
    "\"own_type\"",
    "\"to_json\"",
    "\"text\"",
    "\"empty_text\"",
    "\"number\"",
    "\"zero\"",
    "\"true\"",
    "\"false\"",
    "\"bigint\"",
    "\"object\"",
    "\"list\"",
    "\"like_error\"",
    "\"half_error\"",
    "\"circular\"",
    "\"function\"",
    "\"to_string\"",
    "\"date\"",
    "\"null\"",
    "\"undefined\"",
    "\"frozen\"",
    "\"other_realm\"",
    "\"dom\"",
];

const FILES: &[(&str, &str)] = &[("values.js", VALUES)];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        common("errors: rejected", "const { values } = require('./values'); exports.handler = async (name) => { throw values[name](); };")
            .files(FILES)
            .events(NAMES),
        common("errors: thrown", "const { values } = require('./values'); exports.handler = (name) => { throw values[name](); };")
            .files(FILES)
            .events(NAMES),
        common("errors: given to the callback", "const { values } = require('./values'); exports.handler = (name, context, callback) => callback(values[name]());")
            .files(FILES)
            .events(NAMES),
        common("errors: given to fail", "const { values } = require('./values'); exports.handler = (name, context) => context.fail(values[name]());")
            .files(FILES)
            .events(NAMES),
        common("errors: deep in the function", "const inner = (x) => { throw new RangeError('no ' + x); };\nexports.handler = async (event) => {\n  await null;\n  inner('way');\n};"),
        common("errors: of Node.js", "exports.handler = async () => require('fs').readFileSync('/no/such/file');"),
        common("errors: a symbol rejected", "exports.handler = async () => { throw Symbol('s'); };"),
        common("errors: a symbol thrown", "exports.handler = () => { throw Symbol('s'); };"),
        common("errors: no text rejected", "exports.handler = async () => { throw Object.create(null); };"),
        common("errors: a message that throws", "exports.handler = async () => { throw Object.defineProperty(new Error('x'), 'message', { get() { throw new Error('y'); } }); };"),
        module("errors: in a module", "const inner = (x) => { throw new RangeError('no ' + x); };\nexport const handler = async (event) => {\n  inner('way');\n};"),
    ];
    cases.extend(uncaught());
    cases
}

fn uncaught() -> Vec<Case> {
    vec![
        module("uncaught: in a timer", "export const handler = () => new Promise(() => { setTimeout(() => { throw new Error('late'); }, 5); });"),
        module(
            "uncaught: in a timer of the second event",
            "export const handler = (event) => new Promise((resolve) => { setTimeout(() => { if (event === 2) throw new TypeError('late'); resolve(event); }, 5); });",
        )
        .events(&["1", "2", "3"]),
        common("uncaught: with a field", "exports.handler = () => { setTimeout(() => { throw Object.assign(new Error('late'), { code: 'E', name: 'Mine' }); }, 5); };"),
        common("uncaught: text", "exports.handler = () => { setTimeout(() => { throw 'late'; }, 5); };"),
        common("uncaught: null", "exports.handler = () => { setTimeout(() => { throw null; }, 5); };"),
        common("uncaught: object", "exports.handler = () => { setTimeout(() => { throw { a: 1 }; }, 5); };"),
        common("uncaught: in an event", "exports.handler = async () => { const { EventEmitter } = require('events'); new EventEmitter().emit('error', new Error('unheard')); };"),
        common("uncaught: in the next tick", "exports.handler = async () => { process.nextTick(() => { throw new Error('tick'); }); await new Promise(() => {}); };"),
        common("uncaught: a listener of the function's", "process.on('uncaughtException', (error) => console.log('seen', error.message)); exports.handler = () => { setTimeout(() => { throw new Error('late'); }, 5); };"),
        common("unhandled: an error", "exports.handler = () => new Promise(() => { Promise.reject(new Error('lost')); setTimeout(() => {}, 60000); });"),
        common("unhandled: an error with fields", "exports.handler = () => new Promise(() => { Promise.reject(Object.assign(new TypeError('lost'), { code: 'E' })); setTimeout(() => {}, 60000); });"),
        common("unhandled: text", "exports.handler = () => new Promise(() => { Promise.reject('lost'); setTimeout(() => {}, 60000); });"),
        common("unhandled: undefined", "exports.handler = () => new Promise(() => { Promise.reject(); setTimeout(() => {}, 60000); });"),
        common("unhandled: null", "exports.handler = () => new Promise(() => { Promise.reject(null); setTimeout(() => {}, 60000); });"),
        common("unhandled: object", "exports.handler = () => new Promise(() => { Promise.reject({ a: [1] }); setTimeout(() => {}, 60000); });"),
        common("unhandled: number", "exports.handler = () => new Promise(() => { Promise.reject(7); setTimeout(() => {}, 60000); });"),
        common("unhandled: circular", "exports.handler = () => new Promise(() => { const x = { a: 1 }; x.x = x; Promise.reject(x); setTimeout(() => {}, 60000); });"),
        common("unhandled: from an async function that nobody waits for", "const work = async () => { throw new Error('alone'); };\nexports.handler = (event, context, callback) => {\n  work();\n  setTimeout(() => callback(null, 1), 1000);\n};"),
        common("unhandled: handled later", "exports.handler = async () => { const p = Promise.reject(new Error('lost')); await new Promise((resolve) => setTimeout(resolve, 50)); p.catch(() => {}); return 1; };"),
        common("unhandled: a listener of the function's", "process.on('unhandledRejection', (reason) => console.log('seen', reason)); exports.handler = () => new Promise(() => { Promise.reject('lost'); setTimeout(() => {}, 60000); });"),
    ]
}
