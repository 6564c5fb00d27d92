"""The thin line through everything: CLI put → Python handler → line in the log group."""

import pathlib

from millstream import Server

FUNCTIONS = pathlib.Path(__file__).parent / "functions"


def put_reaches_the_log(server):
    role = server.role()
    server.function("decode", {"decode.py": (FUNCTIONS / "decode.py").read_text()}, role, handler="decode.handler")
    arn = server.stream("lines")
    server.mapping("decode", arn)
    server.shell('aws kinesis put-record --stream-name lines --partition-key 1 --data "thin line"')
    assert server.wait_for_log("decode", "Decoded payload: thin line") == "Decoded payload: thin line\n"
    lines = server.log_lines("decode")
    assert any(line.startswith("START RequestId: ") and line.endswith(" Version: $LATEST\n") for line in lines)
    assert any(line.startswith("END RequestId: ") for line in lines)
    assert any(line.startswith("REPORT RequestId: ") and "\tMemory Size: 128 MB\t" in line for line in lines)


def test_a_put_record_reaches_the_function_and_its_log(server):
    put_reaches_the_log(server)


def test_the_same_without_a_data_folder(tmp_path):
    with Server(tmp_path, data=False) as server:
        put_reaches_the_log(server)
