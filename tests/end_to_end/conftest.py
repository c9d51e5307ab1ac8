"""A running gateway, on the services of this run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.api import Api, administrator
from tests.end_to_end.shell import Shell
from tests.services.external import EXTERNAL
from tests.services.gateway import GatewayProcess
from tests.services.postgres import Databases


@pytest.fixture(scope="session")
def gateway_settings(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """What ``esb serve`` is given: nothing for the embedded default, else a database of its own and the services."""
    if not EXTERNAL:
        yield {}
        return
    databases: Databases = request.getfixturevalue("databases")
    with databases.fresh() as dsn:
        yield {
            "ESB_POSTGRES_URL": dsn,
            "ESB_KAFKA_SERVERS": request.getfixturevalue("kafka_servers"),
            "ESB_REDIS_URL": request.getfixturevalue("redis_url"),
        }


@pytest.fixture(scope="session")
def gateway(gateway_settings: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway all tests share: use tenants of your own, and leave it running."""
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), gateway_settings)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_gateway(gateway_settings: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Makes gateways of the test's own, not started; call it with a name and more arguments of ``esb serve``."""
    with ExitStack() as running:

        def make(name: str = "own", *arguments: str) -> GatewayProcess:
            process = GatewayProcess(tmp_path / name, gateway_settings, *arguments)
            running.callback(process.stop)
            return process

        yield make


@pytest.fixture
def api(gateway: GatewayProcess) -> Iterator[Api]:
    """The shared gateway, as administrator of a new tenant with the stream `user-events` for `user.**`."""
    yield from administrator(gateway)


@pytest.fixture
def shell(api: Api) -> Shell:
    """`esb` in the tenant of `api`."""
    return Shell(api.gateway, api.tenant, api.token)
