"""Garbage in cycles: young objects are walked in small portions, and all of them in the end."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway import heap
from gateway.heap import PORTION, garbage_by_the_clock, settle_heap


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


async def test_growing_never_walks_everything() -> None:
    walked = {0: 0, 1: 0, 2: 0}

    def note(phase: str, info: dict[str, int]) -> None:
        walked[info["generation"]] += phase == "start"

    settle_heap()
    gc.callbacks.append(note)
    try:
        async with garbage_by_the_clock():
            grown = [Node() for _ in range(100 * PORTION)]
    finally:
        gc.callbacks.remove(note)
    assert len(grown) == 100 * PORTION
    assert walked[0] >= 90
    assert walked[1] == walked[2] == 0


async def test_young_objects_are_walked_though_as_many_old_ones_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "YOUNG_EVERY_S", 0.001)
    settle_heap()
    gone = asyncio.Event()
    async with garbage_by_the_clock():
        weakref.finalize(Node(), gone.set)
        await asyncio.wait_for(gone.wait(), 10)


async def test_what_has_become_old_is_found_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "FULL_EVERY_S", 0.001)
    settle_heap()
    node = Node()
    gc.collect()  # it is as old as can be
    gone = asyncio.Event()
    weakref.finalize(node, gone.set)
    del node
    grown = [Node() for _ in range(2 * heap.MANY)]
    async with garbage_by_the_clock():
        await asyncio.wait_for(gone.wait(), 10)
    assert len(grown) == 2 * heap.MANY
