// Runs Node.js handlers for the Lambda Runtime API.
//
// No dependencies, one raw connection (a third of the processor time of the http module for small events). What handlers,
// callers and log readers can see follows AWS's own runtime client, aws-lambda-ric 3: tests compare them case by case.
// Node.js 16 and newer.

import { existsSync, readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { Writable } from "node:stream";
import { pathToFileURL } from "node:url";
import util from "node:util";
import { Worker } from "node:worker_threads";

const environment = process.env;

// ---- the Runtime API over one kept connection ----

class RuntimeApi {
  constructor(address) {
    const [host, port] = address.split(":");
    this.address = address;
    this.socket = net.connect({ host, port: Number(port), noDelay: true });
    this.chunks = [];
    this.length = 0;
    this.needed = 0;
    this.waiting = null;
    this.socket.on("data", (chunk) => this.receive(chunk));
    // The server ends a connection only when it ends this process.
    this.socket.on("error", () => process.exit(1));
    this.socket.on("close", () => process.exit(1));
  }

  next() {
    return this.call("GET", "invocation/next", "", "");
  }

  post(where, body) {
    return this.call("POST", where, "Content-Type: application/json\r\n", body);
  }

  call(method, where, headers, body) {
    const length = Buffer.byteLength(body);
    const head = this.head(method, where, `${headers}Content-Length: ${length}\r\n`);
    if (typeof body === "string" && length < 65536) {
      this.socket.write(head + body);
    } else {
      this.socket.cork();
      this.socket.write(head);
      this.socket.write(body);
      this.socket.uncork();
    }
    return this.answer();
  }

  /** Starts a POST whose body comes in chunks; `answer` waits for its end. */
  startStream(where, headers) {
    this.socket.write(this.head("POST", where, headers + "Transfer-Encoding: chunked\r\n"));
  }

  writeChunk(chunk, done) {
    if (chunk.length === 0) return done();
    this.socket.cork();
    this.socket.write(`${chunk.length.toString(16)}\r\n`);
    this.socket.write(chunk);
    this.socket.write("\r\n", done);
    this.socket.uncork();
  }

  endStream(trailers) {
    this.socket.write(`0\r\n${trailers}\r\n`);
  }

  head(method, where, headers) {
    // While a handler runs the connection must not keep the process alive; while a call is open it must.
    this.socket.ref();
    return `${method} /2018-06-01/runtime/${where} HTTP/1.1\r\nHost: ${this.address}\r\n${headers}\r\n`;
  }

  answer() {
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }

  receive(chunk) {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length < this.needed) return;
    const data = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks);
    this.chunks = [data];
    const end = data.indexOf("\r\n\r\n");
    if (end < 0) return;
    const headers = parseHead(data.toString("utf8", 0, end));
    this.needed = end + 4 + Number(headers["content-length"] ?? 0);
    if (data.length < this.needed) return;
    const body = data.subarray(end + 4, this.needed);
    const rest = data.subarray(this.needed);
    this.chunks = rest.length > 0 ? [rest] : [];
    this.length = rest.length;
    this.needed = 0;
    this.socket.unref();
    const resolve = this.waiting;
    this.waiting = null;
    resolve?.({ status: headers.status, headers, body });
  }
}

function parseHead(head) {
  const lines = head.split("\r\n");
  const headers = { status: Number(lines[0].split(" ", 2)[1]) };
  for (let i = 1; i < lines.length; i += 1) {
    const colon = lines[i].indexOf(":");
    headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
  }
  return headers;
}

// ---- log lines ----

let requestId;

/** Writes one log event; one of several lines is framed, so that it stays whole. */
function writeEvent(text) {
  let data = Buffer.from(text + "\n");
  if (text.includes("\n")) data = Buffer.concat([Buffer.from(`\x1emillstream ${data.length}\n`), data]);
  while (data.length > 0) {
    try {
      data = data.subarray(writeSync(1, data));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function patchConsole() {
  const levels = { trace: "TRACE", debug: "DEBUG", info: "INFO", warn: "WARN", error: "ERROR", fatal: "FATAL" };
  for (const [method, level] of Object.entries(levels)) {
    // The first value counts even where there is none: a call without values logs `undefined`.
    console[method] = (first, ...values) =>
      writeEvent(`${new Date().toISOString()}\t${requestId}\t${level}\t${util.format(first, ...values)}`);
  }
  console.log = console.info;
}

// ---- errors ----

/** An error class that Lambda names; the name stands in the prototype, so that it is no field in log lines. */
function fault(name) {
  const Fault = class extends Error {};
  Fault.prototype.name = `Runtime.${name}`;
  return Fault;
}

const HandlerNotFound = fault("HandlerNotFound");
const ImportModuleError = fault("ImportModuleError");
const InvalidStreamingOperation = fault("InvalidStreamingOperation");
const MalformedHandlerName = fault("MalformedHandlerName");
const MalformedStreamingHandler = fault("MalformedStreamingHandler");
const UnhandledPromiseRejection = fault("UnhandledPromiseRejection");
const UserCodeSyntaxError = fault("UserCodeSyntaxError");

/** Errors of other realms have no prototype of ours, and errors of libraries may be no errors at all. */
function isError(value) {
  const looksLikeOne = () => [value.name, value.message, value.stack].every((text) => text && typeof text === "string");
  return util.types.isNativeError(value) || Boolean(value && looksLikeOne());
}

const ERROR_TYPE = "Lambda-Runtime-Function-Error-Type";
const ERROR_BODY = "Lambda-Runtime-Function-Error-Body";

/** A text as an HTTP header can carry it. */
const headerText = (text) => String(text).replace(/[^\x20-\x7e]/g, "?");

/** The error as its caller gets it. */
function errorDocument(error) {
  const visible = (text) => text?.replace(/\x7f/g, "%7F");
  try {
    if (isError(error)) {
      const trace = visible(error.stack).split("\n");
      return { errorType: visible(error.name), errorMessage: visible(error.message), trace };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    const problem = "there was a problem while retrieving one or more of its message, name, and stack";
    return { errorType: "handled", errorMessage: `callback called with Error argument, but ${problem}` };
  }
}

/** The error as log lines show it, with its own fields. */
function logError(title, thrown) {
  const error = thrown instanceof Error ? thrown : new Error(thrown);
  const withHiddenFields = (_key, value) => {
    if (!(value instanceof Error)) return value;
    const fields = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    if (typeof value.stack === "string") fields.stack = value.stack.split("\n");
    return fields;
  };
  let text;
  try {
    text = JSON.stringify(error, withHiddenFields);
  } catch {
    text = JSON.stringify(errorDocument(error));
  }
  console.error(title, "\t" + text);
}

/** Reports an error that nothing can handle and ends the process, before any other code of the function runs. */
function crash(error, status) {
  const document = errorDocument(error);
  const body = JSON.stringify(document);
  if (requestId === undefined) {
    postWhileBlocked("init/error", `${ERROR_TYPE}: ${headerText(document.errorType)}\r\n`, body);
  } else {
    postWhileBlocked(`invocation/${requestId}/error`, "", body);
  }
  process.exit(status);
}

/** Longest wait for the answer to a crash report. */
const CRASH_REPORT_MS_MAX = 5000;

/**
 * Posts from a thread of its own while this one stands still. A connection of its own, too: the other one may wait for
 * an event, or be in the middle of a stream.
 */
function postWhileBlocked(where, headers, body) {
  const answered = new Int32Array(new SharedArrayBuffer(4));
  const fixed = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n`;
  const request = api.head("POST", where, headers + fixed) + body;
  const code = `
    const { workerData: { address, request, answered } } = require("node:worker_threads");
    const [host, port] = address.split(":");
    const socket = require("node:net").connect({ host, port: Number(port) }, () => socket.write(request));
    const wake = () => Atomics.store(answered, 0, 1) && Atomics.notify(answered, 0);
    socket.on("data", wake).on("error", wake).on("close", wake);`;
  new Worker(code, { eval: true, execArgv: [], workerData: { address: api.address, request, answered } });
  Atomics.wait(answered, 0, 0, CRASH_REPORT_MS_MAX);
}

function reportCrashes() {
  process.on("uncaughtException", (error) => {
    logError("Uncaught Exception", error);
    crash(error, 129);
  });
  process.on("unhandledRejection", (reason, promise) => {
    const error = Object.assign(new UnhandledPromiseRejection(reason), { reason, promise });
    logError("Unhandled Promise Rejection", error);
    crash(error, 128);
  });
}

// ---- the handler ----

const require = createRequire(import.meta.url);

/** The handler named by `_HANDLER`, e.g. `index.handler` or `folder/file.object.method`. */
async function loadHandler(root, name) {
  if (name.includes("..")) {
    const advice = "Use absolute paths when specifying root directories in handler names.";
    throw new MalformedHandlerName(`'${name}' is not a valid handler name. ${advice}`);
  }
  const base = path.basename(name);
  const folder = name.slice(0, name.indexOf(base));
  const parts = /^([^.]*)\.(.*)$/.exec(base);
  if (!parts) throw new MalformedHandlerName("Bad handler");
  const module = await loadModule(root, folder, parts[1]);
  const find = (start) => parts[2].split(".").reduce((object, key) => object && object[key], start);
  const handler = find(module) || find(module?.default);
  if (!handler) throw new HandlerNotFound(`${name} is undefined or not exported`);
  if (typeof handler !== "function") throw new HandlerNotFound(`${name} is not a function`);
  const mark = handler[STREAMING];
  if (mark !== undefined && mark !== null && mark !== false && mark !== "response") {
    throw new MalformedStreamingHandler("Only response streaming is supported.");
  }
  return handler;
}

async function loadModule(root, folder, name) {
  try {
    return await findModule(root, folder, name);
  } catch (error) {
    if (error instanceof SyntaxError) throw userCodeSyntaxError(error);
    if (error.code === "MODULE_NOT_FOUND") throw new ImportModuleError(error);
    throw error;
  }
}

async function findModule(root, folder, name) {
  const base = path.resolve(root, folder, name);
  const isModule = existsSync(base + ".js") && isModuleFolder(path.dirname(base));
  const importFile = (file) => existsSync(file) && import(pathToFileURL(file).href);
  const requireFile = (file) => existsSync(file) && require(file);
  return (
    requireFile(base) ||
    (isModule ? await importFile(base + ".js") : requireFile(base + ".js")) ||
    (await importFile(base + ".mjs")) ||
    requireFile(base + ".cjs") ||
    require(require.resolve(name, { paths: [root, folder] }))
  );
}

/** The stack of a syntax error begins with its file and line, which its message lacks. */
function userCodeSyntaxError(cause) {
  const error = new UserCodeSyntaxError(cause);
  error.stack = `${error.name}: ${cause.stack}`;
  return error;
}

/** Whether the nearest package.json declares ES modules. */
function isModuleFolder(folder) {
  if (folder.endsWith("/node_modules")) return false;
  const file = path.join(folder, "package.json");
  if (existsSync(file)) {
    try {
      const settings = JSON.parse(readFileSync(file, "utf8"));
      if (settings) return settings.type === "module";
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return folder !== path.dirname(folder) && isModuleFolder(path.dirname(folder));
}

// ---- streaming handlers ----

const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");

class HttpResponseStream {
  /** The stream, with a head for HTTP before the first write: JSON and eight zero bytes. */
  static from(stream, prelude) {
    stream.setContentType("application/vnd.awslambda.http-integration-response");
    const head = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(head);
      write(new Uint8Array(8));
    };
    return stream;
  }
}

function defineGlobals() {
  if (["1", "true"].includes(environment.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = "response";
      if (typeof options?.highWaterMark === "number") handler[HIGH_WATER_MARK] = parseInt(options.highWaterMark, 10);
      return handler;
    },
    HttpResponseStream,
  };
}

/** The response of a streaming handler. Its request starts with the first byte or with the end. */
class ResponseStream extends Writable {
  constructor(id, highWaterMark) {
    super({ highWaterMark, decodeStrings: true, autoDestroy: false });
    this.id = id;
    this.contentType = "application/octet-stream";
    this.trailers = "";
    this.started = false;
    this.written = false;
    this.answered = new Promise((resolve) => {
      this.resolveAnswer = resolve;
    });
    this.broken = new Promise((_, reject) => this.once("error", reject));
    // A broken stream ends the process: it has a rejection that nobody handles.
    this.once("error", (error) => void Promise.reject(error));
  }

  setContentType(contentType) {
    if (this.written) throw new InvalidStreamingOperation("Cannot set content-type, too late.");
    this.contentType = contentType;
  }

  write(chunk, encoding, callback) {
    const isBytes = typeof chunk === "string" || Buffer.isBuffer(chunk) || chunk?.constructor === Uint8Array;
    const bytes = chunk.length !== undefined && isBytes ? chunk : JSON.stringify(chunk);
    if (!this.written) this._onBeforeFirstWrite?.((part) => super.write(part));
    const more = super.write(bytes, encoding, callback);
    this.written = true;
    return more;
  }

  /** Ends the stream with an error, which the server gets behind what was written. */
  fail(error) {
    if (this.writableEnded) return;
    const document = errorDocument(error);
    const body = Buffer.from(JSON.stringify(document)).toString("base64");
    this.trailers = `${ERROR_TYPE}: ${headerText(document.errorType)}\r\n${ERROR_BODY}: ${body}\r\n`;
    this.end();
  }

  start() {
    if (this.started) return;
    this.started = true;
    const fixed = `Lambda-Runtime-Function-Response-Mode: streaming\r\nTrailer: ${ERROR_TYPE}, ${ERROR_BODY}\r\n`;
    api.startStream(`invocation/${this.id}/response`, `${fixed}Content-Type: ${this.contentType}\r\n`);
  }

  _write(chunk, _encoding, callback) {
    this.start();
    api.writeChunk(chunk, callback);
  }

  _final(callback) {
    this.start();
    api.endStream(this.trailers);
    api.answer().then(this.resolveAnswer);
    callback();
  }

  _destroy(error, callback) {
    if (error || this.writableFinished) return callback(error);
    setImmediate(() => callback(Object.assign(new Error("socket hang up"), { code: "ECONNRESET" })));
  }
}

// ---- invocations ----

/** Called whenever nothing is left to do in the event loop. */
let onIdle = () => {};
process.on("beforeExit", () => onIdle());

const isPromise = (value) => value && typeof value.then === "function";

/** What the context of an event has besides functions. */
function eventData(headers) {
  const json = (text, name) => {
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Error(`Cannot parse ${name} as json: ${error}`);
    }
  };
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: json(headers["lambda-runtime-client-context"], "ClientContext"),
    identity: json(headers["lambda-runtime-cognito-identity"], "CognitoIdentity"),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: requestId,
    tenantId: headers["lambda-runtime-aws-tenant-id"],
    getRemainingTimeInMillis: function () {
      return deadline - Date.now();
    },
  };
}

/** A context's flag: whether an answer waits until nothing is left to do. */
function waitingFlag() {
  let waits = true;
  return {
    get callbackWaitsForEmptyEventLoop() {
      return waits;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waits = value;
    },
  };
}

/** The bytes of a result; a result that is none is the handler's error. */
function serialise(result) {
  let text;
  try {
    text = JSON.stringify(result === undefined ? null : result);
  } catch {
    throw new Error("Unable to stringify response body");
  }
  // Functions and symbols have no JSON at all.
  if (typeof text !== "string") throw new TypeError("Wrong arguments");
  return text;
}

/** Runs one handler, event after event. Its name shows in stack traces, as that of AWS's does. */
class Runtime {
  constructor(handler) {
    this.handler = handler;
  }

  async serve() {
    const isStreaming = Boolean(this.handler[STREAMING]);
    for (;;) {
      const { status, headers, body } = await api.next();
      if (status !== 200) process.exit(1);
      requestId = headers["lambda-runtime-aws-request-id"];
      const trace = headers["lambda-runtime-trace-id"];
      if (trace) environment._X_AMZN_TRACE_ID = trace;
      else delete environment._X_AMZN_TRACE_ID;
      await (isStreaming ? this.invokeStreaming(headers, body) : this.invoke(headers, body));
    }
  }

  /** Runs the handler for one event until its answer is posted. */
  invoke(headers, body) {
    return new Promise((resolve, reject) => {
      const { context, callback } = waysToAnswer(resolve);
      try {
        const event = JSON.parse(body.toString("utf8"));
        const returned = this.handler(event, Object.assign(context, eventData(headers)), callback);
        if (isPromise(returned)) returned.then(context.succeed, context.fail).catch(context.fail);
      } catch (error) {
        try {
          callback(error);
        } catch (unspeakable) {
          reject(unspeakable);
        }
      }
    });
  }

  /** The same for a handler that writes to a stream. */
  async invokeStreaming(headers, body) {
    const context = waitingFlag();
    const stream = new ResponseStream(requestId, this.handler[HIGH_WATER_MARK]);
    onIdle = () => {};
    try {
      Object.assign(context, eventData(headers));
      const promise = this.handler(JSON.parse(body.toString("utf8")), stream, context);
      if (!isPromise(promise)) throw "Streaming does not support non-async handlers.";
      if ((await promise) !== undefined) console.warn("Streaming handlers ignore return values.");
      await Promise.race([stream.answered, stream.broken]);
    } catch (error) {
      logError("Invoke Error", error);
      stream.fail(error);
      await stream.answered;
    }
    if (!context.callbackWaitsForEmptyEventLoop) return;
    await new Promise((resolve) => {
      onIdle = () => setImmediate(resolve);
    });
  }
}

/** A context's functions and the callback, for the current event; `resolve` gets the posted answer. */
function waysToAnswer(resolve) {
  const id = requestId;
  let posted = false;
  const post = (what, body) => {
    if (posted) return;
    posted = true;
    resolve(api.post(`invocation/${id}/${what}`, body));
  };
  let completed = false;
  const complete = (result) => {
    if (completed) {
      const rule = "Cannot call complete more than once per invocation.";
      console.error(`Invocation has already been reported as done. ${rule}`);
      return;
    }
    completed = true;
    post("response", serialise(result));
  };
  const fail = (error) => {
    logError("Invoke Error", error);
    post("error", JSON.stringify(errorDocument(error)));
  };
  const settle = (waits) => (error, result) => {
    onIdle = () => {};
    if (error !== undefined && error !== null) fail(error);
    else if (waits()) onIdle = () => setImmediate(complete, result);
    else complete(result);
  };
  // The first of all ways to answer counts. One that throws does not.
  let answered = false;
  const once = (action) =>
    function (...values) {
      if (answered) return;
      action(...values);
      answered = true;
    };
  const context = waitingFlag();
  const done = settle(() => false);
  const callback = once(settle(() => context.callbackWaitsForEmptyEventLoop));
  Object.assign(context, {
    succeed: once((result) => done(null, result)),
    fail: once((error) => done(error ?? "handled")),
    done: once(done),
  });
  // Nobody has answered when nothing is left to do.
  onIdle = () => {
    completed = true;
    post("response", "null");
  };
  return { context, callback };
}

const api = new RuntimeApi(environment.AWS_LAMBDA_RUNTIME_API);
api.socket.unref();

patchConsole();
reportCrashes();
defineGlobals();
const runtime = new Runtime(await loadHandler(environment.LAMBDA_TASK_ROOT, environment._HANDLER));
// Not awaited: a module that waits when nothing is left to do makes Node.js exit.
runtime.serve().catch((error) => {
  console.log(`Unexpected Top Level Error: ${error}`);
  crash(error, 129);
});
