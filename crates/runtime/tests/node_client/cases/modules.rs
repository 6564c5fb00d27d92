//! Where handlers are found, and what goes wrong at load.

use super::{Case, common, module};

const NAME: &str = "exports.handler = async () => __filename;";
const MODULE: &str = "export const handler = async () => import.meta.url;";
const TYPE_MODULE: (&str, &str) = ("package.json", "{\"type\":\"module\"}");

pub(super) fn cases() -> Vec<Case> {
    let mut cases = found();
    cases.extend(handlers());
    cases.extend(failures());
    cases
}

fn found() -> Vec<Case> {
    vec![
        common("found: .js", NAME),
        module("found: .mjs", MODULE),
        common("found: .cjs", NAME).file("index.cjs"),
        common("found: without an extension", "exports.handler = async () => 'none';").file("index"),
        common("found: .js of a module package", MODULE).files(&[TYPE_MODULE]),
        common("found: .cjs in a module package", NAME).file("index.cjs").files(&[TYPE_MODULE]),
        common("found: .js before .mjs", NAME).files(&[("index.mjs", MODULE)]),
        module("found: .mjs before .cjs", MODULE).files(&[("index.cjs", NAME)]),
        common("found: in a folder", NAME).file("src/deep/app.js").handler("src/deep/app.handler"),
        common("found: in a module folder", MODULE).file("src/app.js").handler("src/app.handler").files(&[("src/package.json", "{\"type\":\"module\"}")]),
        common("found: module package above the folder", MODULE).file("src/app.js").handler("src/app.handler").files(&[TYPE_MODULE]),
        common("found: nearest package counts", NAME).file("src/app.js").handler("src/app.handler").files(&[TYPE_MODULE, ("src/package.json", "{}")]),
        common("found: package without a type", NAME).files(&[("package.json", "{\"name\":\"x\"}")]),
        common("found: package that is no JSON", NAME).files(&[("package.json", "{")]).of_recorded_node(),
        common("found: package that is null", NAME).files(&[("package.json", "null")]).of_recorded_node(),
        common("found: package that is null, module package above", MODULE).file("src/app.js").handler("src/app.handler").files(&[TYPE_MODULE, ("src/package.json", "null")]).of_recorded_node(),
        common("found: package that is a list", NAME).files(&[("package.json", "[]")]).of_recorded_node(),
        common("found: folder with an index", NAME).file("lib/index.js").handler("lib.handler"),
        common("found: package of node_modules", NAME).file("node_modules/helper/index.js").handler("helper.handler"),
        common("found: relative to the folder", NAME).file("src/node_modules/helper/index.js").handler("src/helper.handler"),
        common("found: JSON", "{\"handler\": 1}").file("index.json"),
        common("found: helper of node_modules", "exports.handler = async () => require('helper');").files(&[("node_modules/helper/index.js", "module.exports = 'helped';")]),
        module("found: import of node_modules", "import helper from 'helper'; export const handler = async () => helper;").files(&[("node_modules/helper/index.js", "module.exports = 'helped';")]),
        module("found: require made in a module", "import { createRequire } from 'module'; const require = createRequire(import.meta.url); export const handler = async () => require('./data.json');").files(&[("data.json", "[1]")]),
        module("found: top-level await", "const value = await new Promise((resolve) => setTimeout(resolve, 20, 'waited')); export const handler = async () => value;"),
        common("found: import from CommonJS", "exports.handler = async () => (await import('./other.mjs')).default;").files(&[("other.mjs", "export default 'imported';")]),
        common("load: absolute path of another folder", NAME).handler("/var/task/index.handler"),
        common("found: dot before the path", NAME).handler("./index.handler"),
        common("found: with a slash at the start of a folder", NAME).file("src/app.js").handler("./src/app.handler"),
    ]
}

fn handlers() -> Vec<Case> {
    vec![
        common("handler: a path of names", "exports.a = { b: { c: async () => 'deep' } };").handler("index.a.b.c"),
        common("handler: in a folder with a path of names", "exports.a = { b: async () => 'deep' };")
            .file("src/app.js")
            .handler("src/app.a.b"),
        common(
            "handler: method of an instance",
            "class App { async run() { return 'run'; } } exports.app = new App();",
        )
        .handler("index.app.run"),
        common("handler: exports replaced", "module.exports = { handler: async () => 'replaced' };"),
        common("handler: exports is the function", "module.exports = async () => 'function';"),
        common(
            "handler: property of an exported function",
            "module.exports = () => {}; module.exports.handler = async () => 'property';",
        ),
        module("handler: default export by name", "export default async () => 'default';").handler("index.default"),
        module("handler: in the default export", "export default { handler: async () => 'inner' };"),
        module("handler: deep in the default export", "export default { a: { handler: async () => 'inner' } };")
            .handler("index.a.handler"),
        module("handler: default export is the function", "export default async () => 'default';"),
        common("handler: getter", "Object.defineProperty(exports, 'handler', { get: () => async () => 'got' });"),
        common("handler: class", "exports.handler = class {};"),
        common("handler: bound", "exports.handler = (async function () { return this.x; }).bind({ x: 1 });"),
        common("handler: generator", "exports.handler = function* () { yield 1; };"),
        common("handler: missing", "exports.other = 1;"),
        common("handler: missing in a path", "exports.a = {};").handler("index.a.b.c"),
        common("handler: null in a path", "exports.a = null;").handler("index.a.b"),
        common("handler: no function", "exports.handler = 'text';"),
        common("handler: object", "exports.handler = {};"),
        common("handler: false", "exports.handler = false;"),
        common("handler: no dot", NAME).handler("index"),
        common("handler: dot at the end", NAME).handler("index."),
        common("handler: dot at the start", NAME).handler(".handler"),
        common("handler: two dots", NAME).handler("../index.handler"),
        common("handler: two dots in a row", NAME).handler("index..handler"),
        common("handler: folder without a dot", NAME).handler("src/index"),
        common("handler: dot in the folder", NAME).file("a.b/app.js").handler("a.b/app.handler"),
        common(
            "handler: streaming mark of another kind",
            "exports.handler = async () => 1; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request';",
        ),
        common(
            "handler: streaming mark set by hand",
            "exports.handler = async (event, stream) => { stream.end('marked'); }; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'response';",
        ),
    ]
}

fn failures() -> Vec<Case> {
    vec![
        common("load: module missing", "").file("other.js"),
        common("load: module missing in a folder", "").file("other.js").handler("src/app.handler"),
        common("load: require missing", "require('nowhere');\nexports.handler = () => {};"),
        common("load: require of a missing file", "require('./nowhere');\nexports.handler = () => {};"),
        common("load: require missing, two files deep", "require('./inner');")
            .files(&[("inner.js", "require('nowhere');")]),
        module("load: import missing", "import 'nowhere'; export const handler = () => {};"),
        module("load: import of a missing file", "import './nowhere.mjs'; export const handler = () => {};"),
        module(
            "load: import of a missing name",
            "import { nothing } from './other.mjs'; export const handler = () => {};",
        )
        .files(&[("other.mjs", "")]),
        common("load: syntax error", "exports.handler = async () => {\n  return (;\n};"),
        common("load: syntax error in another file", "require('./inner');").files(&[("inner.js", "const = 1;")]),
        module("load: syntax error in a module", "export const handler = async () => {\n  return (;\n};"),
        module("load: syntax error in another module", "import './inner.mjs';").files(&[("inner.mjs", "const = 1;")]),
        common("load: bad JSON required", "require('./data.json');").files(&[("data.json", "[1,")]),
        common("load: exception", "const fail = () => { throw new RangeError('at load'); };\nfail();"),
        common(
            "load: exception with fields",
            "throw Object.assign(new Error('at load'), { code: 'E', name: 'Mine' });",
        ),
        common(
            "load: exception that says module not found",
            "throw Object.assign(new Error('at load'), { code: 'MODULE_NOT_FOUND' });",
        ),
        common("load: text thrown", "throw 'at load';"),
        common("load: number thrown", "throw 7;"),
        common("load: object thrown", "throw { a: 1 };"),
        module("load: exception in a module", "throw new RangeError('at load');"),
        module("load: rejection awaited in a module", "await Promise.reject(new RangeError('at load'));"),
        module("load: module that never ends", "await new Promise(() => {}); export const handler = () => {};")
            .of_recorded_node(),
    ]
}
