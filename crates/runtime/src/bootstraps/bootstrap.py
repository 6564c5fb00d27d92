"""Runs Python handlers for the Lambda Runtime API.

Standard library only, one connection, no threads. What handlers, callers and log readers can see follows AWS's own
runtime client: the event and context objects, error documents, log lines. Python 3.7 and newer.
"""

import importlib
import json
import logging
import os
import re
import socket
import sys
import time
import traceback
from decimal import Decimal

API = "/2018-06-01/runtime/"


class RuntimeApi:
    """The Runtime API over one kept connection."""

    def __init__(self, address):
        host, _, port = address.partition(":")
        self.address = (host, int(port))
        self.host_header = address
        self.socket = None
        self.buffer = b""

    def next(self):
        """Waits for an invocation: its headers, names in lower case, and its event's bytes."""
        status, headers, body = self.call("GET", "invocation/next")
        if status != 200:
            raise OSError("next was answered with status %d" % status)
        return headers, body

    def post(self, path, body, content_type="application/json", headers=()):
        self.call("POST", path, body, (("Content-Type", content_type),) + tuple(headers))

    def call(self, method, path, body=b"", headers=()):
        lines = ["%s %s%s HTTP/1.1" % (method, API, path), "Host: " + self.host_header]
        lines += ["%s: %s" % header for header in headers]
        lines.append("Content-Length: %d\r\n\r\n" % len(body))
        self.send("\r\n".join(lines).encode("utf-8") + body)
        return self.receive()

    def send(self, request):
        if self.socket is None:
            self.socket = socket.create_connection(self.address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(request)

    def receive(self):
        head, self.buffer = self.read_head()
        lines = head.decode("utf-8").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        body = self.read_body(length)
        return status, headers, body

    def read_head(self):
        data = self.buffer
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                return data[:end], data[end + 4:]
            data += self.read_some()

    def read_body(self, length):
        if len(self.buffer) >= length:
            body, self.buffer = self.buffer[:length], self.buffer[length:]
            return body
        body = bytearray(length)
        filled = len(self.buffer)
        body[:filled] = self.buffer
        self.buffer = b""
        view = memoryview(body)
        while filled < length:
            count = self.socket.recv_into(view[filled:])
            if count == 0:
                raise ConnectionError("the Runtime API closed the connection")
            filled += count
        return body

    def read_some(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the Runtime API closed the connection")
        return data


class Fault(Exception):
    """A failure that has a name of its own in Lambda's error documents."""

    def __init__(self, error_type, message, trace=None):
        super().__init__(message)
        self.error_type, self.message, self.trace = error_type, message, trace


class ClientContext:
    def __init__(self, document):
        self.custom = document.get("custom")
        self.env = document.get("env")
        self.client = Attributes(document["client"]) if "client" in document else None


class Attributes:
    def __init__(self, values):
        self.__dict__.update(values)


class CognitoIdentity:
    def __init__(self, document):
        self.cognito_identity_id = document.get("cognitoIdentityId")
        self.cognito_identity_pool_id = document.get("cognitoIdentityPoolId")


class LambdaContext:
    """The second argument of handlers."""

    def __init__(self, headers):
        environment = os.environ
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]
        self.log_group_name = environment.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environment.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environment.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environment.get("AWS_LAMBDA_FUNCTION_VERSION")
        client_context = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(json.loads(client_context)) if client_context else None
        identity = headers.get("lambda-runtime-cognito-identity")
        self.identity = CognitoIdentity(json.loads(identity) if identity else {})
        self._deadline_ms = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        write_event(str(message))

    def __repr__(self):
        names = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                 "function_version", "invoked_function_arn", "client_context", "identity")
        return "LambdaContext([%s])" % ",".join("%s=%s" % (name, getattr(self, name)) for name in names)


def write_event(text):
    """Writes one log event; one of several lines is framed, so that it stays whole."""
    sys.stdout.flush()
    data = text.encode("utf-8", "replace")
    if b"\n" in data[:-1]:
        data = b"\x1emillstream %d\n" % len(data) + data
    while data:
        data = data[os.write(1, data):]


class LogHandler(logging.Handler):
    """The root logger's handler, with AWS's line format."""

    request_id = ""

    def emit(self, record):
        try:
            record.aws_request_id = LogHandler.request_id
            write_event(self.format(record))
        except Exception:  # a log line must not fail its caller, as in the standard handlers
            self.handleError(record)


def set_up_logging():
    layout = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
    formatter = logging.Formatter(layout, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = LogHandler()
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    sys.stdout.reconfigure(line_buffering=True)


def find_handler(name):
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName",
                    "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    try:
        if module_name.split(".")[0] in sys.builtin_module_names:
            raise Fault("Runtime.BuiltInModuleConflict",
                        "Cannot use built-in module %s as a handler module" % module_name)
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error))
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, error), trace)
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name))


class Encoder(json.JSONEncoder):
    """Writes decimals as the numbers they are, which the standard encoder cannot do: a mark is replaced afterwards."""

    mark = "decimal-%s:" % os.urandom(8).hex()
    marked = re.compile('"' + mark + '([^"]*)"')

    def __init__(self):
        # AWS changed this with the runtime of Python 3.12.
        version = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")[2]
        super().__init__(ensure_ascii=not (version.isdigit() and int(version) >= 12))
        self.has_marks = False

    def default(self, value):
        if isinstance(value, Decimal):
            if value.is_nan():
                return float("nan")
            self.has_marks = True
            return self.mark + str(value)
        return super().default(value)

    def to_bytes(self, value):
        text = self.encode(value)
        if self.has_marks:
            text = self.marked.sub(r"\1", text)
        return text.encode("utf-8")


def encode_result(result):
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return Encoder().to_bytes(result), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)


def decode_event(body):
    try:
        return json.loads(body)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)


def describe(error, request_id=""):
    """The error document of an exception. Frames of this file are left out."""
    if isinstance(error, Fault):
        error_type, message, trace = error.error_type, error.message, error.trace or []
    else:
        frames = traceback.extract_tb(error.__traceback__)
        first = next((i for i, frame in enumerate(frames) if "/bootstrap.py" not in frame.filename), 0)
        error_type, message = type(error).__name__, str(error)
        # As plain tuples, which have no column marks: AWS's documents show none.
        trace = traceback.format_list([tuple(frame) for frame in frames[first:]])
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace}


def log_error(document):
    message = document["errorMessage"]
    lines = ["[ERROR] " + document["errorType"] + (": " + message if message else "")]
    lines.append("Traceback (most recent call last):")
    for element in document["stackTrace"]:
        for line in element.splitlines():
            text = line.lstrip(" ")
            # AWS indents by no-break spaces.
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    write_event("\n".join(lines) + "\n")


def serve_one(api, handler):
    headers, body = api.next()
    request_id = headers["lambda-runtime-aws-request-id"]
    LogHandler.request_id = request_id
    trace_id = headers.get("lambda-runtime-trace-id")
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        event = decode_event(body)
        del body
        result, content_type = encode_result(handler(event, LambdaContext(headers)))
    except Exception as error:
        document = describe(error, request_id)
        log_error(document)
        headers = [("Lambda-Runtime-Function-Error-Type", document["errorType"])]
        api.post("invocation/%s/error" % request_id, Encoder().to_bytes(document), headers=headers)
    else:
        sys.stdout.flush()
        api.post("invocation/%s/response" % request_id, result, content_type)


def main():
    set_up_logging()
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    # The interpreter put this script's folder first; handlers expect their own.
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    # Layers come next: the folder that is /opt is this script's only argument.
    layers = os.path.join(sys.argv.pop(), "python")
    version = "python%d.%d" % sys.version_info[:2]
    sys.path[1:1] = [os.path.join(layers, "lib", version, "site-packages"), layers]
    try:
        handler = find_handler(os.environ["_HANDLER"])
    except Exception as error:
        document = describe(error)
        log_error(document)
        headers = [("Lambda-Runtime-Function-Error-Type", document["errorType"])]
        api.post("init/error", Encoder().to_bytes(document), headers=headers)
        sys.exit(1)
    while True:
        serve_one(api, handler)


if __name__ == "__main__":
    main()
