// Runs Node.js handlers for the Lambda Runtime API.
//
// No dependencies, one raw connection (a third of the processor time of the http module for small events). What handlers,
// callers and log readers can see follows AWS's own runtime client. Node.js 16 and newer.

import { existsSync, readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { PassThrough } from "node:stream";
import { pathToFileURL } from "node:url";
import util from "node:util";

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

  post(where, body, headers = "") {
    return this.call("POST", where, headers + "Content-Type: application/json\r\n", body);
  }

  call(method, where, headers, body) {
    // While a handler runs the connection must not keep the process alive; while a call is open it must.
    this.socket.ref();
    const length = Buffer.byteLength(body);
    const start = `${method} /2018-06-01/runtime/${where} HTTP/1.1\r\nHost: ${this.address}\r\n`;
    const head = `${start}${headers}Content-Length: ${length}\r\n\r\n`;
    if (typeof body === "string" && length < 65536) {
      this.socket.write(head + body);
    } else {
      this.socket.cork();
      this.socket.write(head);
      this.socket.write(body);
      this.socket.uncork();
    }
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
  const levels = { trace: "TRACE", debug: "DEBUG", log: "INFO", info: "INFO", warn: "WARN", error: "ERROR" };
  for (const [method, level] of Object.entries(levels)) {
    console[method] = (...values) =>
      writeEvent(`${new Date().toISOString()}\t${requestId}\t${level}\t${util.format(...values)}`);
  }
  console.fatal = (...values) =>
    writeEvent(`${new Date().toISOString()}\t${requestId}\tFATAL\t${util.format(...values)}`);
}

// ---- errors ----

/** A failure that has a name of its own in Lambda's error documents. */
class Fault extends Error {
  constructor(name, message) {
    super(message);
    this.name = `Runtime.${name}`;
  }
}

const isError = (value) =>
  util.types.isNativeError(value) || Boolean(value && value.name && value.message && value.stack);

function errorDocument(error) {
  if (isError(error)) {
    return { errorType: error.name, errorMessage: error.message, trace: String(error.stack).split("\n") };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

/** The error as log lines show it, with its own properties. */
function errorForLog(error) {
  const enumerable = (_key, value) => {
    if (!(value instanceof Error)) return value;
    const fields = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    delete fields.name;
    if (typeof value.stack === "string") fields.stack = value.stack.split("\n");
    return fields;
  };
  try {
    return "\t" + JSON.stringify(error, enumerable);
  } catch {
    return "\t" + JSON.stringify(errorDocument(error));
  }
}

function postError(where, error) {
  const document = errorDocument(error);
  const type = String(document.errorType).replace(/[^\x20-\x7e]/g, "?");
  return api.post(where, JSON.stringify(document), `Lambda-Runtime-Function-Error-Type: ${type}\r\n`);
}

// ---- the handler ----

/** The handler named by `_HANDLER`, e.g. `index.handler` or `folder/file.object.method`. */
async function loadHandler(root, name) {
  if (name.includes("..")) throw new Fault("MalformedHandlerName", `'..' is not valid in handler name. Use absolute paths when specifying root directories in handler names.`);
  const parts = /^([^.]*)\.(.*)$/.exec(path.basename(name));
  if (!parts) throw new Fault("MalformedHandlerName", "Bad handler");
  const file = path.join(path.dirname(name), parts[1]);
  const module = await loadModule(root, file);
  let handler = module;
  for (const key of parts[2].split(".")) handler = handler?.[key];
  if (handler === undefined && module.default) {
    handler = module.default;
    for (const key of parts[2].split(".")) handler = handler?.[key];
  }
  if (!handler) throw new Fault("HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function") throw new Fault("HandlerNotFound", `${name} is not a function`);
  return handler;
}

async function loadModule(root, file) {
  const base = path.resolve(root, file);
  const require = createRequire(path.join(root, "index.js"));
  try {
    if (existsSync(base + ".js")) {
      if (isModuleFolder(path.dirname(base), root)) return await import(pathToFileURL(base + ".js").href);
      return require(base + ".js");
    }
    if (existsSync(base + ".mjs")) return await import(pathToFileURL(base + ".mjs").href);
    if (existsSync(base + ".cjs")) return require(base + ".cjs");
    return require(require.resolve(file, { paths: [root, ...require.resolve.paths(file)] }));
  } catch (error) {
    if (error instanceof SyntaxError) throw renamed("UserCodeSyntaxError", error);
    if (error?.code === "MODULE_NOT_FOUND" || error?.code === "ERR_MODULE_NOT_FOUND") {
      throw renamed("ImportModuleError", error);
    }
    throw error;
  }
}

function renamed(name, cause) {
  const fault = new Fault(name, String(cause));
  fault.stack = `${fault.name}: ${cause?.stack ?? cause}`;
  return fault;
}

/** Whether the nearest package.json, up to the code's root, declares ES modules. */
function isModuleFolder(folder, root) {
  for (;;) {
    const file = path.join(folder, "package.json");
    if (existsSync(file)) {
      try {
        return JSON.parse(readFileSync(file, "utf8")).type === "module";
      } catch {
        return false;
      }
    }
    if (folder === root || folder === path.dirname(folder)) return false;
    folder = path.dirname(folder);
  }
}

const STREAMING = Symbol("streaming handler");

// Streaming handlers write to a stream; the whole of it becomes the response when it ends.
globalThis.awslambda = {
  streamifyResponse: (handler) => Object.assign(handler, { [STREAMING]: true }),
  HttpResponseStream: {
    from(stream, prelude) {
      stream.write(JSON.stringify(prelude) + "\0".repeat(8));
      return stream;
    },
  },
};

function makeContext(headers, settle) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const json = (text) => (text ? JSON.parse(text) : undefined);
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: json(headers["lambda-runtime-client-context"]),
    identity: json(headers["lambda-runtime-cognito-identity"]),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: requestId,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  context.done = (error, result) => {
    context.callbackWaitsForEmptyEventLoop = false;
    settle(error, result);
  };
  context.succeed = (result) => context.done(null, result);
  context.fail = (error) => context.done(error === undefined || error === null ? "handled" : error);
  return context;
}

/** Called once nothing is left to do in the event loop. */
let onIdle = null;
process.on("beforeExit", () => {
  const action = onIdle;
  onIdle = null;
  action?.();
});

/** Runs the handler; its result or error comes back as a settled record, never as an exception. */
function run(handler, headers, body) {
  return new Promise((resolve) => {
    let context;
    const settle = (error, result) => {
      const finish = () => resolve(error === null || error === undefined ? { result } : { error });
      // A callback's answer waits until all else is done, unless the handler says otherwise.
      if (context.callbackWaitsForEmptyEventLoop) onIdle = finish;
      else finish();
    };
    context = makeContext(headers, settle);
    try {
      const event = JSON.parse(body.toString("utf8"));
      if (handler[STREAMING]) {
        resolve(runStreaming(handler, event, context));
        return;
      }
      // A callback-style handler that never calls back answers null when nothing is left to do.
      onIdle = () => resolve({ result: null });
      const returned = handler(event, context, settle);
      if (typeof returned?.then === "function") {
        onIdle = null;
        returned.then(context.succeed, (error) => resolve({ error }));
      }
    } catch (error) {
      onIdle = null;
      resolve({ error });
    }
  });
}

async function runStreaming(handler, event, context) {
  const stream = new PassThrough();
  stream.setContentType = () => {};
  const chunks = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  const ended = new Promise((resolve) => stream.once("end", resolve));
  try {
    await handler(event, stream, context);
    await ended;
    return { raw: Buffer.concat(chunks) };
  } catch (error) {
    return { error };
  }
}

async function answer(id, outcome) {
  if ("error" in outcome) {
    const error = isError(outcome.error) ? outcome.error : errorOf(outcome.error);
    console.error("Invoke Error", errorForLog(error));
    await postError(`invocation/${id}/error`, outcome.error);
    return;
  }
  let body = outcome.raw;
  if (body === undefined) {
    try {
      body = JSON.stringify(outcome.result === undefined ? null : outcome.result) ?? "null";
    } catch {
      const fault = new Error("Unable to stringify response body");
      await answer(id, { error: fault });
      return;
    }
  }
  await api.post(`invocation/${id}/response`, body);
}

function errorOf(value) {
  return typeof value === "string" ? new Error(value) : Object.assign(new Error(String(value)), value);
}

function reportCrashes() {
  const crash = (title, code, wrap) => async (reason) => {
    const error = wrap(reason);
    console.error(title, errorForLog(error));
    await postError(requestId ? `invocation/${requestId}/error` : "init/error", error);
    process.exit(code);
  };
  process.on("uncaughtException", crash("Uncaught Exception", 129, (error) => error));
  process.on(
    "unhandledRejection",
    crash("Unhandled Promise Rejection", 128, (reason) => {
      const fault = new Fault("UnhandledPromiseRejection", String(reason));
      fault.reason = reason;
      return fault;
    }),
  );
}

const api = new RuntimeApi(environment.AWS_LAMBDA_RUNTIME_API);

async function main() {
  patchConsole();
  reportCrashes();
  let handler;
  try {
    handler = await loadHandler(environment.LAMBDA_TASK_ROOT, environment._HANDLER);
  } catch (error) {
    console.error("Uncaught Exception", errorForLog(error));
    await postError("init/error", error);
    process.exit(1);
  }
  for (;;) {
    const { status, headers, body } = await api.next();
    if (status !== 200) process.exit(1);
    requestId = headers["lambda-runtime-aws-request-id"];
    const trace = headers["lambda-runtime-trace-id"];
    if (trace) environment._X_AMZN_TRACE_ID = trace;
    else delete environment._X_AMZN_TRACE_ID;
    const outcome = await run(handler, headers, body);
    await answer(requestId, outcome);
  }
}

// Not awaited at top level: a module that waits for ever would make Node exit with status 13 instead of 0.
main();
