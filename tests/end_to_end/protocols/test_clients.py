"""Each protocol with its ecosystem's real client as it comes; what makes it resume has tests in clients/typescript."""

import pytest

from tests.end_to_end.api import Api
from tests.end_to_end.protocols.node_project import HERE, NodeProject

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

FILES = sorted(file.name for file in HERE.glob("*.test.mjs"))


@pytest.fixture(scope="session")
def node_project() -> NodeProject:
    project = NodeProject()
    project.install()
    return project


@pytest.mark.parametrize("file", FILES)
def test_stock_clients(node_project: NodeProject, api: Api, file: str) -> None:
    node_project.test(file, ESB_TEST_URL=api.gateway.url, ESB_TEST_TOKEN=api.token)
