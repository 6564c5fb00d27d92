"""Which operation was answered to which client over which protocol, read from the servers' own logs.

Each server of the tests logs its requests. When it ends, what succeeded is noted in a file of its own under the folder that
`MILLSTREAM_TEST_OPERATIONS_SEEN` names; `cargo xtask` makes the table of `docs/compatibility.md` of all of them.
"""

import json
import os
import re
import uuid

LINE = re.compile(
    r"answered service=\"(?P<service>\S+)\" operation=\"(?P<operation>\S*)\" encoding=(?P<encoding>\S+) "
    r"http=(?P<http>\S+) status=(?P<status>\d+) user_agent=\"(?P<user_agent>[^\"]*)\""
)
CLIENTS = (("aws-cli/", "AWS CLI"), ("Boto3/", "boto3"), ("aws-sdk-js/", "JavaScript v3"), ("aws-sdk-rust/", "Rust"))
PROTOCOLS = {"Json10": "JSON", "Json11": "JSON", "Cbor": "CBOR", "RestJson": "REST-JSON", "Query": "query",
             "RpcCbor": "RPC CBOR", "RestXml": "REST-XML"}


def note(log_text):
    folder = os.environ.get("MILLSTREAM_TEST_OPERATIONS_SEEN")
    if not folder:
        return
    found = set()
    for line in LINE.finditer(log_text):
        client = next((name for sign, name in CLIENTS if sign in line["user_agent"]), None)
        if client and line["status"].startswith("2"):
            http = "HTTP/2" if line["http"].startswith("HTTP/2") else "HTTP/1.1"
            found.add((line["service"], line["operation"], PROTOCOLS[line["encoding"]], http, client))
    if found:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{uuid.uuid4()}.json"), "w") as file:
            json.dump(sorted(found), file)
