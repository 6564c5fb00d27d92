"""Functions through the Lambda API: code, versions, the ways to invoke, the ways to fail."""

import base64
import hashlib
import json
import urllib.request

import pytest

from millstream import until, zipped

SOURCE = '''
import os, sys, time

count = 0

def handler(event, context):
    global count
    count += 1
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("exit") is not None:
        os._exit(event["exit"])
    if event.get("raise"):
        raise ValueError(event["raise"])
    if event.get("big"):
        return "x" * event["big"]
    print("said", event.get("say"))
    return {"count": count, "user": os.getuid(), "version": context.function_version, "greeting": os.environ.get("GREETING")}
'''


@pytest.fixture
def functions(server):
    code = {"handler.py": SOURCE}
    server.function("f", code, server.role(), Timeout=2, Environment={"Variables": {"GREETING": "hello"}})
    return server.client("lambda", read_timeout=30)


def invoke(functions, event, **more):
    answer = functions.invoke(FunctionName="f", Payload=json.dumps(event), **more)
    return answer, json.loads(answer["Payload"].read() or "null")


def test_environments_are_reused_and_never_run_as_root(functions):
    _, first = invoke(functions, {})
    answer, second = invoke(functions, {"say": "warm"}, LogType="Tail")
    assert (first["count"], second["count"]) == (1, 2)
    assert second["greeting"] == "hello"
    import os

    assert second["user"] != 0 or os.getuid() != 0
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert "START RequestId: " in tail and "said warm" in tail and "REPORT RequestId: " in tail
    assert answer["ExecutedVersion"] == "$LATEST"


def test_failures_have_the_recorded_payloads(functions):
    answer, payload = invoke(functions, {"raise": "no"})
    assert answer["FunctionError"] == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "no")
    assert payload["stackTrace"] and payload["requestId"] == answer["ResponseMetadata"]["RequestId"]
    answer, payload = invoke(functions, {"big": 7_000_000})
    assert payload["errorType"] == "Function.ResponseSizeTooLarge"
    answer, payload = invoke(functions, {"sleep": 10})
    assert payload["errorType"] == "Sandbox.Timedout"
    assert payload["errorMessage"].endswith(" Error: Task timed out after 2.00 seconds")
    answer, payload = invoke(functions, {"exit": 3})
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith(" Error: Runtime exited with error: exit status 3")
    answer, payload = invoke(functions, {})
    assert "FunctionError" not in answer and payload["count"] == 1, "a fresh environment after the failures"


def test_dry_runs_and_events(server, functions):
    assert functions.invoke(FunctionName="f", InvocationType="DryRun")["StatusCode"] == 204
    answer = functions.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"say":"later"}')
    assert answer["StatusCode"] == 202 and "ExecutedVersion" not in answer
    server.wait_for_log("f", "said later")


def test_the_code_can_be_downloaded_and_replaced(functions):
    found = functions.get_function(FunctionName="f")
    with urllib.request.urlopen(found["Code"]["Location"], timeout=10) as download:
        content = download.read()
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert digest == found["Configuration"]["CodeSha256"]
    assert len(content) == found["Configuration"]["CodeSize"]
    new = zipped({"handler.py": "def handler(event, context): return 'new ' + context.function_version"})
    updated = functions.update_function_code(FunctionName="f", ZipFile=new, Publish=True)
    assert updated["Version"] == "1"
    until(lambda: functions.get_function_configuration(FunctionName="f")["LastUpdateStatus"] == "Successful")
    assert invoke(functions, {})[1] == "new $LATEST"
    assert invoke(functions, {}, Qualifier="1")[1] == "new 1"
    versions = functions.list_versions_by_function(FunctionName="f")["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST", "1"]


def test_a_zip_that_leaves_its_folder_is_refused(server, functions):
    for files in [{"../escape.py": "x"}, {"/etc/escape.py": "x"}]:
        with pytest.raises(functions.exceptions.InvalidParameterValueException):
            functions.update_function_code(FunctionName="f", ZipFile=zipped(files))
    assert invoke(functions, {})[1]["count"] == 1, "the function is as it was"
