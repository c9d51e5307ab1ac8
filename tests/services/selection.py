"""Which tests belong to which of the two runs.

ESB_TEST_SERVICES=embedded (default) runs everything on the PostgreSQL that comes with the package; =external runs what
touches a service once more on a real PostgreSQL, and with it what needs Kafka and Redis. Nothing is skipped: a test is
in a run or it is not, and each is in at least one.

A test is judged by the fixtures it names. One that asks for a service by ``request.getfixturevalue`` says so with
``@pytest.mark.needs("kafka_servers")``, also as a mark of a parameter.
"""

from collections.abc import Sequence
from pathlib import PurePath

import pytest

EXTERNAL_ONLY = frozenset(
    {"kafka_servers", "redis_url", "postgres_service", "kafka_service", "redis_service", "fault_database_url"}
)
SERVICES = EXTERNAL_ONLY | {"database_url", "empty_database_url", "gateway", "own_gateway"}


def split(items: Sequence[pytest.Item], *, external: bool) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The tests of this run, and the others."""
    mine: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        (mine if belongs(item, external=external) else others).append(item)
    return mine, others


def belongs(item: pytest.Item, *, external: bool) -> bool:
    """Fault tests run once, on external services, but for what only the embedded server can show."""
    if "faults" in PurePath(str(item.path)).parts:
        return external is (item.get_closest_marker("embedded_only") is None)
    if item.get_closest_marker("embedded_only"):
        return not external
    needed = needs(item)
    return bool(needed & SERVICES) if external else not needed & EXTERNAL_ONLY


def needs(item: pytest.Item) -> frozenset[str]:
    """The services' fixtures a test uses."""
    named = set(getattr(item, "fixturenames", ()))
    for mark in item.iter_markers("needs"):
        named.update(mark.args)
    return frozenset(named & SERVICES)
