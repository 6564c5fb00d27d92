//! When a result counts: callbacks, promises, the functions of the context, an empty event loop, the process's end.

use super::{Case, common, module};

const TWO: &[&str] = &["1", "2"];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = callbacks();
    cases.extend(context_functions());
    cases.extend(ends());
    cases
}

fn callbacks() -> Vec<Case> {
    vec![
        common("callback: a result", "exports.handler = (event, context, callback) => callback(null, event);").events(TWO),
        common("callback: later", "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, event), 5); };")
            .events(TWO),
        common(
            "callback: waits for a timer",
            "exports.handler = (event, context, callback) => { callback(null, event); setTimeout(() => console.log('timer'), 20); };",
        )
        .events(TWO),
        common(
            "callback: does not wait when told so",
            "exports.handler = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 100000); callback(null, event); };",
        )
        .events(TWO),
        common(
            "callback: told not to wait afterwards",
            "exports.handler = (event, context, callback) => { callback(null, event); context.callbackWaitsForEmptyEventLoop = false; setTimeout(() => console.log('timer'), 20); };",
        ),
        common(
            "callback: the first one counts",
            "exports.handler = (event, context, callback) => { callback(null, 'first'); callback(null, 'second'); callback(new Error('third')); };",
        )
        .events(TWO),
        common(
            "callback: the first one counts, an error",
            "exports.handler = (event, context, callback) => { callback(new Error('first')); callback(null, 'second'); };",
        )
        .events(TWO),
        common("callback: nothing", "exports.handler = (event, context, callback) => callback();"),
        common("callback: undefined as error", "exports.handler = (event, context, callback) => callback(undefined, 1);"),
        common("callback: false as error", "exports.handler = (event, context, callback) => callback(false, 1);"),
        common("callback: zero and empty text as error", "exports.handler = (event, context, callback) => callback(event, 1);")
            .events(&["0", "\"\""]),
        common(
            "callback: an error at once despite a timer",
            "exports.handler = (event, context, callback) => { setInterval(() => {}, 100000); callback(new Error('at once')); };",
        ),
        common("callback: then an exception", "exports.handler = (event, context, callback) => { callback(null, 1); throw new Error('after'); };")
            .events(TWO),
        common("callback: from an async handler, before it returns", "exports.handler = async (event, context, callback) => { callback(null, 'callback'); return 'promise'; };")
            .events(TWO),
        common("callback: from an async handler, after it returned", "exports.handler = async (event, context, callback) => { setTimeout(() => callback(null, 'callback'), 5); return 'promise'; };")
            .events(TWO),
        common("never calls back", "exports.handler = (event) => { setTimeout(() => console.log('timer'), 5); };").events(TWO),
        common("a returned value does not count", "exports.handler = (event) => event;").events(TWO),
        common("never settles", "exports.handler = () => new Promise(() => {});").events(TWO),
        common("never settles, with a timer", "exports.handler = () => new Promise(() => { setTimeout(() => console.log('timer'), 5); });").events(TWO),
    ]
}

fn context_functions() -> Vec<Case> {
    vec![
        common("context: succeed", "exports.handler = (event, context) => context.succeed(event);").events(TWO),
        common("context: succeed with nothing", "exports.handler = (event, context) => context.succeed();"),
        common("context: fail", "exports.handler = (event, context) => context.fail(new Error('failed ' + event));").events(TWO),
        common("context: fail with nothing", "exports.handler = (event, context) => context.fail();"),
        common("context: fail with null", "exports.handler = (event, context) => context.fail(null);"),
        common("context: fail with false", "exports.handler = (event, context) => context.fail(false);"),
        common("context: done with a result", "exports.handler = (event, context) => context.done(null, event);").events(TWO),
        common("context: done with an error", "exports.handler = (event, context) => context.done('bad', event);").events(TWO),
        common("context: done with nothing", "exports.handler = (event, context) => context.done();"),
        common(
            "context: succeed does not wait",
            "exports.handler = (event, context) => { setInterval(() => {}, 100000); context.succeed(event); };",
        )
        .events(TWO),
        common(
            "context: succeed leaves the flag as it is",
            "exports.handler = (event, context) => { context.succeed(1); console.log(context.callbackWaitsForEmptyEventLoop); };",
        ),
        common(
            "context: succeed after callback",
            "exports.handler = (event, context, callback) => { callback(null, 'callback'); context.succeed('context'); };",
        ),
        common(
            "context: callback after succeed",
            "exports.handler = (event, context, callback) => { context.succeed('context'); callback(null, 'callback'); };",
        ),
        common(
            "context: succeed later, from a promise handler that never settles",
            "exports.handler = (event, context) => new Promise(() => { setTimeout(() => context.succeed(event), 5); });",
        )
        .events(TWO),
        common("context: functions without their object", "exports.handler = (event, { succeed }) => succeed(event);"),
        module("promise: then of another kind", "export const handler = () => ({ then(resolve) { resolve('thenable'); } });"),
        module("promise: then that throws", "export const handler = () => ({ then() { throw new Error('in then'); } });"),
        module("promise: does not wait for a timer", "export const handler = async (event) => { setInterval(() => {}, 100000); return event; };")
            .events(TWO),
        module("promise: later", "export const handler = (event) => new Promise((resolve) => setTimeout(resolve, 5, event));").events(TWO),
    ]
}

fn ends() -> Vec<Case> {
    vec![
        common("exit: 0 in the handler", "exports.handler = () => process.exit(0);"),
        common("exit: 3 in the handler", "exports.handler = async () => process.exit(3);"),
        common("exit: with a listener", "process.on('exit', (code) => console.log('exit', code)); exports.handler = async () => process.exit(4);"),
        common("exit: 3 at load", "process.exit(3);"),
        common("exit: code set, then a result", "exports.handler = async () => { process.exitCode = 5; return 1; };"),
        common("exit: right after succeed", "exports.handler = (event, context) => { context.succeed('answered'); process.exit(0); };"),
        common("exit: kills itself", "exports.handler = async () => { process.kill(process.pid, 'SIGKILL'); await new Promise((resolve) => setTimeout(resolve, 60000)); };"),
        common("exit: terminates itself", "exports.handler = async () => { process.kill(process.pid, 'SIGTERM'); await new Promise((resolve) => setTimeout(resolve, 60000)); };"),
        common(
            "signal: a listener of the function's",
            "exports.handler = () => new Promise((resolve) => { process.once('SIGTERM', () => resolve('terminated')); process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 1000).unref(); setTimeout(resolve, 5000); });",
        ),
        common(
            "beforeExit: a listener of the function's",
            "process.on('beforeExit', () => console.log('before exit')); exports.handler = (event, context, callback) => callback(null, event);",
        ),
        common(
            "beforeExit: a listener that starts something",
            "let once = true; process.on('beforeExit', () => { if (once) { once = false; setTimeout(() => {}, 60000); } }); exports.handler = (event, context, callback) => callback(null, event);",
        ),
        module("state: globals stay from event to event", "let count = 0; export const handler = async () => (count += 1);").events(&["1", "2", "3"]),
        module(
            "state: work goes on during the next event",
            "let seen = 0; export const handler = async (event) => { if (event === 1) setTimeout(() => { seen += 1; }, 5); else await new Promise((resolve) => setTimeout(resolve, 50)); return seen; };",
        )
        .events(TWO),
    ]
}
