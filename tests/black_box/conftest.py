import pytest

from millstream import Server


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path) as server:
        yield server
