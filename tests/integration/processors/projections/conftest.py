from collections.abc import AsyncIterator

import pytest

from tests.projecting import World, projecting


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with projecting(database_url) as made:
        yield made
