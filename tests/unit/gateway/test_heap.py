"""Garbage in cycles: walked in portions that take about a millisecond, and all of it in the end."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway import heap
from gateway.heap import LARGEST, PORTION_S, SMALLEST, Portions, garbage_in_portions, settle_heap


class Node:
    """An object that can be in a cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_portions_get_as_large_as_can_be_walked_in_time() -> None:
    portions = Portions()
    for cold_s in (20e-6, 1e-9, 2e-6, 100e-9):
        for _ in range(30):
            portions.took(cold_s * portions.objects)
        wanted = min(LARGEST, max(SMALLEST, PORTION_S / cold_s))
        assert portions.objects == pytest.approx(wanted, rel=0.01)


async def test_growing_never_walks_everything() -> None:
    walked = {0: 0, 1: 0, 2: 0}

    def note(phase: str, info: dict[str, int]) -> None:
        walked[info["generation"]] += phase == "start"

    settle_heap()
    gc.callbacks.append(note)
    try:
        async with garbage_in_portions():
            grown = [Node() for _ in range(400_000)]
    finally:
        gc.callbacks.remove(note)
    assert len(grown) == 400_000
    assert walked[0] > 5
    assert walked[1] == walked[2] == 0


async def test_what_has_become_old_is_found_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "FULL_EVERY_S", 0.001)
    monkeypatch.setattr(heap, "FULL_AFTER", 10 * LARGEST)
    settle_heap()
    node = Node()
    gc.collect()  # it is as old as can be
    gone = asyncio.Event()
    weakref.finalize(node, gone.set)
    del node
    async with garbage_in_portions():
        grown = [Node() for _ in range(50 * LARGEST)]
        await asyncio.wait_for(gone.wait(), 10)
    assert len(grown) == 50 * LARGEST
