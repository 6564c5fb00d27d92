import pathlib
import sys

import pytest

from mappings import directing
from millstream import ACCOUNT, REGION, Server

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "docs/examples/virtual_clock"))


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server for all tests of a file: each makes things with names of its own."""
    with Server(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
def frozen(tmp_path):
    """A server whose time stands still at 2026-01-31T08:00:00Z until the test moves it with `frozen.clock`."""
    from millstream_clock import clock_client

    with Server(tmp_path, "--clock", "virtual", "--clock-start", "2026-01-31T08:00:00Z", data=False) as server:
        server.clock = clock_client(
            endpoint_url=server.endpoint, region_name=REGION,
            aws_access_key_id=ACCOUNT, aws_secret_access_key="secret",
        )
        yield server


@pytest.fixture
def director():
    with directing() as director:
        yield director
