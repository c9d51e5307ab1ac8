"""What stays open ends with its token: once, on time, and only that."""

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.auth.sessions import EXPIRED, REVOKED, Sessions
from schema.principal import Principal

NOW = 1_800_000_000.0


class World:
    def __init__(self) -> None:
        self.now = NOW
        self.revoked: set[str | None] = set()
        self.ended: list[tuple[str, str]] = []
        self.sessions = Sessions(lambda principal: principal.subject in self.revoked, lambda: self.now)

    def open(self, subject: str, lives: float = 60) -> Any:
        return self.sessions.open(principal(subject, lives), lambda why: self.ended.append((subject, why)))


def principal(subject: str, lives: float = 60) -> Principal:
    return Principal(tenant="acme", subject=subject, expires_at=NOW + lives)


@pytest.fixture
def world() -> World:
    return World()


def test_each_ends_when_its_token_expires_and_once(world: World) -> None:
    for number in range(200):
        world.open(f"u{number}", lives=number / 2 + 0.5)
    world.open("for ever", lives=float("inf"))
    for elapsed in (0.25, 0.5, 33.0, 33.0, 64.25, 1e6):
        world.now = NOW + elapsed
        world.sessions.look()
        assert sorted(who for who, _ in world.ended) == sorted(f"u{n}" for n in range(min(200, int(2 * elapsed))))
    assert {why for _, why in world.ended} == {EXPIRED}
    assert len(world.sessions) == 1


def test_a_closed_session_is_told_nothing_and_leaves_nothing(world: World) -> None:
    with world.open("ann", lives=1) as session:
        pass
    session.close()
    world.now += 2
    world.revoked.add("ann")
    world.sessions.look()
    world.sessions.recheck()
    assert world.ended == []
    assert len(world.sessions) == 0


def test_a_revoked_token_ends_its_sessions_and_no_other(world: World) -> None:
    for subject in ("ann", "bob", "ann"):
        world.open(subject)
    world.revoked.add("ann")
    world.sessions.recheck()
    assert world.ended == [("ann", REVOKED)] * 2
    world.sessions.recheck()
    assert len(world.ended) == 2
    assert len(world.sessions) == 1


def test_a_token_that_lapsed_between_verifying_and_opening_ends_at_once(world: World) -> None:
    world.open("late", lives=0)
    world.revoked.add("ann")
    world.open("ann")
    assert world.ended == [("late", EXPIRED), ("ann", REVOKED)]


def test_renewing_moves_the_end_and_changes_who_is_looked_at(world: World) -> None:
    session = world.open("ann", lives=1)
    session.renew(msgspec.structs.replace(principal("ann", 100), token_id="second"))
    world.now += 50
    world.sessions.look()
    assert world.ended == []
    world.now += 51
    world.sessions.look()
    assert world.ended == [("ann", EXPIRED)]


def test_what_has_ended_cannot_be_renewed(world: World) -> None:
    session = world.open("ann", lives=1)
    world.now += 1
    world.sessions.look()
    session.renew(principal("ann", 100))
    assert len(world.sessions) == 0


def test_one_that_fails_to_end_and_one_that_ends_others_keep_nobody(world: World) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("no")

    first = world.open("ann")
    world.sessions.open(principal("ann"), fail)
    world.sessions.open(principal("ann"), lambda _: first.close())
    world.open("ann")
    world.revoked.add("ann")
    world.sessions.recheck()
    assert len(world.sessions) == 0
    assert 1 <= len(world.ended) <= 2


async def test_the_clock_is_looked_at_by_itself() -> None:
    ended = asyncio.Event()
    now = NOW
    sessions = Sessions(lambda _: False, lambda: now)
    await sessions.start()
    sessions.open(principal("ann"), lambda _: ended.set())
    now += 61
    await asyncio.wait_for(ended.wait(), 5)
    await sessions.stop()
    await sessions.stop()
