"""Real services for tests: see tests/services/selection.py for which test runs where."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.embedded import embedded
from tests.services.external import EXTERNAL, Service, Services, environment, services
from tests.services.postgres import READER, Databases
from tests.services.selection import split


def pytest_configure(config: pytest.Config) -> None:
    chosen = os.environ.get("ESB_TEST_SERVICES", "embedded")
    if chosen not in ("embedded", "external"):
        raise pytest.UsageError(f"ESB_TEST_SERVICES is embedded or external, not {chosen!r}")
    # As Ctrl-C: fixtures end, and with them the services' processes; by default SIGTERM would leave those behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.addinivalue_line("markers", "needs(*fixtures): services asked for by request.getfixturevalue")
    config.addinivalue_line("markers", "embedded_only: shows something only the embedded PostgreSQL can show")


def pytest_report_header() -> str:
    return f"services: {'external' if EXTERNAL else 'embedded'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:], others = split(items, external=EXTERNAL)
    if others:
        config.hook.pytest_deselected(items=others)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database of the server under test, as its owner, for making others; tests ask for ``database_url``."""
    if EXTERNAL:
        with environment("ESB_POSTGRES_URL") as settings:
            yield settings["ESB_POSTGRES_URL"]
        return
    with tempfile.TemporaryDirectory(prefix="esb-test-") as folder, embedded(Path(folder)) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def databases(postgres_url: str) -> Databases:
    return Databases(postgres_url)


@pytest.fixture(scope="session")
def migrated_template(databases: Databases) -> Iterator[str]:
    """The database every ``database_url`` is a copy of. Nothing may stay connected to it."""
    from store.migrate import upgrade

    with databases.fresh() as dsn:
        upgrade(dsn, READER)
        yield dsn


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """DSN of a fresh database that was not migrated."""
    with databases.fresh() as dsn:
        yield dsn


@pytest.fixture
def database_url(databases: Databases, migrated_template: str) -> Iterator[str]:
    """DSN of a fresh, migrated database; its owner is no superuser."""
    with databases.fresh(migrated_template) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def kafka_servers() -> Iterator[str]:
    """Bootstrap servers of a real Kafka, shared by all tests: use topics of your own."""
    _only_externally()
    with environment("ESB_KAFKA_SERVERS") as settings:
        yield settings["ESB_KAFKA_SERVERS"]


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a real Redis, shared by all tests: use keys of your own."""
    _only_externally()
    with environment("ESB_REDIS_URL") as settings:
        yield settings["ESB_REDIS_URL"]


@pytest.fixture(scope="session")
def own_services() -> Iterator[Services]:
    """Services apart from the shared ones, for tests that kill them."""
    with services() as made:
        yield made


@pytest.fixture
def postgres_service(own_services: Services) -> Iterator[Service]:
    """A PostgreSQL to stop, kill and freeze; the next test gets it running again."""
    yield from _running(own_services.postgres)


@pytest.fixture
def kafka_service(own_services: Services) -> Iterator[Service]:
    """A Kafka to stop, kill and freeze."""
    yield from _running(own_services.kafka)


@pytest.fixture
def redis_service(own_services: Services) -> Iterator[Service]:
    """A Redis to stop, kill and freeze."""
    yield from _running(own_services.redis)


def _running(service: Service) -> Iterator[Service]:
    service.start()
    yield service
    service.resume()


def _only_externally() -> None:
    if not EXTERNAL:
        pytest.fail('mark the test or parameter @pytest.mark.needs("kafka_servers") or needs("redis_url")')
