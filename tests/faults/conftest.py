"""Gateways and a database to be killed and frozen under load."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.services.external import Service
from tests.services.gateway import GatewayProcess
from tests.services.postgres import Databases

StartGateway = Callable[..., GatewayProcess]


@pytest.fixture
def fault_database_url(postgres_service: Service) -> Iterator[str]:
    """DSN of a fresh database, not migrated, on the PostgreSQL of ``postgres_service``."""
    with ExitStack() as stack:
        yield stack.enter_context(Databases(postgres_service.url).fresh())
        # The test may have left it frozen or dead, and dropping the database needs it.
        postgres_service.resume()
        postgres_service.start()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Starts gateways: ``start_gateway("one", {"ESB_POSTGRES_URL": …}, *more arguments of esb serve)``.

    All are stopped after the test, frozen ones too.
    """
    with ExitStack() as running:

        def start(name: str, settings: Mapping[str, str] | None = None, *arguments: str) -> GatewayProcess:
            process = GatewayProcess(tmp_path / name, settings, *arguments)
            running.callback(process.stop)
            process.start()
            return process

        yield start
