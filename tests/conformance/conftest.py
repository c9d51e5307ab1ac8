"""One fresh log of each engine."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.engines import ENGINES, Engine, Subject


@pytest.fixture(
    params=[pytest.param(engine, id=engine.name, marks=pytest.mark.needs(*engine.services)) for engine in ENGINES]
)
def engine(request: pytest.FixtureRequest) -> tuple[Engine, dict[str, Any]]:
    return request.param, {name: request.getfixturevalue(name) for name in request.param.services}


@pytest.fixture
async def subject(engine: tuple[Engine, dict[str, Any]]) -> AsyncIterator[Subject]:
    chosen, services = engine
    async with chosen.open(services) as opened:
        yield opened
