"""The committer on a real PostgreSQL: what others are told, what is refused, what fails alone."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.filter.typed import parse_filter
from store.ledger.answer import Commit
from store.ledger.appender import Appender
from store.ledger.committer import Bounds, Committer
from store.log.port import Command, Condition, Outcome, Refusal
from tests.events import draft
from tests.integration.store.ledger.conftest import Process, process


def one(process: Process, aggregate: str | None = None, **said: object) -> Command:
    return Command(events=[draft(process.stream, aggregate, **said)])  # type: ignore[arg-type]


async def test_commits_are_announced_whole_and_in_order(ledger: Process) -> None:
    known = one(ledger, "a")
    await ledger.log.append([known])
    await ledger.log.append([known, one(ledger, "a", expected=9), one(ledger, "a"), one(ledger, "b")])
    assert [(commit.tenant, commit.first, commit.last) for commit in ledger.commits] == [("acme", 1, 1), ("acme", 2, 3)]
    announced = [event for commit in ledger.commits for event in commit.events()]
    stored = (await ledger.log.read(Cursor(1, 1), 10)).events
    assert announced == list(stored)


async def test_a_group_that_commits_nothing_is_not_announced(ledger: Process) -> None:
    known = one(ledger, "a")
    await ledger.log.append([known])
    await ledger.log.append([known])
    assert len(ledger.commits) == 1


async def test_receipts_come_after_the_announcement(ledger: Process) -> None:
    (outcome,) = await ledger.log.append([one(ledger)])
    assert isinstance(outcome, list)
    assert ledger.commits[-1].last == outcome[0].position


async def test_what_a_listener_raises_harms_no_publisher(ledger: Process) -> None:
    def fail(_: Commit) -> None:
        raise ValueError

    tenant = ledger.tenant
    committer = Committer(Appender(tenant, ledger.database, ledger.logs.partitions), fail)
    (outcome,) = await committer.submit([one(ledger)])
    assert isinstance(outcome, list)
    await committer.close()


async def test_concurrent_commands_share_calls(ledger: Process) -> None:
    await asyncio.gather(*[ledger.log.append([one(ledger, f"u{n}")]) for n in range(200)])
    assert len(ledger.commits) < 10
    assert ledger.commits[-1].last == 200


async def test_beyond_the_bounds_publishers_are_told_to_wait(database_url: str) -> None:
    async with process(database_url, Bounds(queue_events=5)) as opened:
        answers = await asyncio.gather(*[opened.log.append([one(opened)]) for _ in range(20)], return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, EsbError)]
        assert {error.code for error in refused} == {ErrorCode.RATE_LIMITED}
        assert all(error.retry_after_ms and 20 <= error.retry_after_ms <= 10_000 for error in refused)
        assert len(refused) == 15
        assert isinstance((await opened.log.append([one(opened)]))[0], list), "there is room again"


async def test_bounds_count_bytes_too(database_url: str) -> None:
    async with process(database_url, Bounds(queue_bytes=100_000)) as opened:
        big = "x" * 40_000
        answers = await asyncio.gather(
            *[opened.log.append([one(opened, payload=big)]) for _ in range(4)], return_exceptions=True
        )
        assert [isinstance(answer, EsbError) for answer in answers] == [False, False, True, True]


async def test_a_command_larger_than_the_bounds_goes_alone(database_url: str) -> None:
    async with process(database_url, Bounds(queue_events=5, group_events=2)) as opened:
        outcomes = await opened.log.append([one(opened) for _ in range(30)])
        assert all(isinstance(outcome, list) for outcome in outcomes)


async def test_a_text_postgresql_cannot_store_fails_alone(ledger: Process) -> None:
    outcomes = await ledger.log.append([one(ledger, "a"), one(ledger, "a\0b"), one(ledger, "a")])
    assert isinstance(outcomes[1], Refusal)
    assert outcomes[1].code is ErrorCode.BAD_INPUT
    assert [outcome[0].position for outcome in outcomes if isinstance(outcome, list)] == [1, 2]


async def test_a_condition_that_takes_too_long_fails_alone(ledger: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.ledger.call.template", lambda _: ("(select pg_sleep(60)) is not null", []))
    slow = one(ledger)
    slow.condition = Condition(none_matching=None, after=1)
    slow_outcome, outcome = await ledger.log.append([slow, one(ledger)])
    assert isinstance(slow_outcome, Refusal)
    assert slow_outcome.code is ErrorCode.TOO_COMPLEX
    assert isinstance(outcome, list)


async def test_a_condition_beyond_sql_is_refused_at_once(ledger: Process) -> None:
    command = one(ledger)
    command.condition = Condition(
        none_matching=parse_filter({"payload": [{"path": "list", "eq": [1.5, {"deep": 2}]}]}), after=1
    )
    (outcome,) = await ledger.log.append([command])
    assert isinstance(outcome, Refusal)
    assert outcome.code is ErrorCode.BAD_INPUT


async def test_callers_of_a_committer_that_dies_are_answered(ledger: Process) -> None:
    class Dies(Appender):
        async def append(self, commands: Sequence[Command], announce: object) -> list[Outcome]:
            raise ZeroDivisionError

    committer = Committer(Dies(ledger.tenant, ledger.database, ledger.logs.partitions), ledger.commits.append)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*[committer.submit([one(ledger)]) for _ in range(3)], return_exceptions=True)
        assert [getattr(answer, "code", None) for answer in answers] == [ErrorCode.LOG_UNAVAILABLE] * 3
        with pytest.raises(EsbError):
            await committer.submit([one(ledger)])
        await committer.close()


async def test_a_publisher_who_gives_up_disturbs_nobody(ledger: Process) -> None:
    leaving = asyncio.create_task(ledger.log.append([one(ledger, "a")]))
    staying = asyncio.create_task(ledger.log.append([one(ledger, "a")]))
    await asyncio.sleep(0)
    leaving.cancel()
    (outcome,) = await staying
    assert isinstance(outcome, list)
    assert outcome[0].sequence_number == 2, "what was handed in is committed"


async def test_closing_commits_what_was_handed_in_and_refuses_the_rest(ledger: Process) -> None:
    publishing = [asyncio.create_task(ledger.log.append([one(ledger)])) for _ in range(50)]
    await asyncio.sleep(0)
    await ledger.logs.close()
    assert all(isinstance(outcomes[0], list) for outcomes in await asyncio.gather(*publishing))
    with pytest.raises(EsbError) as caught:
        await ledger.log.append([one(ledger)])
    assert caught.value.code is ErrorCode.LOG_UNAVAILABLE


async def test_a_lock_held_by_a_frozen_gateway_is_freed(ledger: Process, database_url: str) -> None:
    # As a gateway looks that was stopped between two halves of its message: in a transaction, waited for by the server.
    frozen = await asyncpg.connect(database_url)
    try:
        await frozen.execute("set idle_in_transaction_session_timeout = 0")
        await frozen.execute(f"begin; select pg_advisory_xact_lock(1163084290, {ledger.tenant.key})")
        async with asyncio.timeout(5):
            (outcome,) = await ledger.log.append([one(ledger)])
        assert isinstance(outcome, list)
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
            await frozen.execute("commit")
    finally:
        frozen.terminate()


async def test_connections_cut_under_load_lose_and_repeat_nothing(ledger: Process, database_url: str) -> None:
    admin = await asyncpg.connect(database_url)
    done = False
    published = 0

    async def publish(name: str) -> None:
        nonlocal published
        number = 0
        while not done:
            number += 1
            published += 1
            (outcome,) = await ledger.log.append([one(ledger, name)])
            assert isinstance(outcome, list)
            assert outcome[0].sequence_number == number

    publishing = [asyncio.create_task(publish(f"u{n}")) for n in range(10)]
    for _ in range(8):
        before = published
        while published < before + 30:  # noqa: ASYNC110 -- until they go on
            await asyncio.sleep(0.01)
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'esb'"
        )
    done = True
    await asyncio.gather(*publishing)
    await admin.close()
    assert await ledger.reader.head(ledger.tenant) == published + 1


async def test_a_database_that_is_gone_is_said_in_bounded_time(database_url: str) -> None:
    async with process(database_url, patience=1.0) as opened:
        await opened.database.close()
        opened.database.dsn = "postgresql://nobody@127.0.0.1:1/nothing"
        async with asyncio.timeout(5):
            with pytest.raises(EsbError) as caught:
                await opened.log.append([one(opened)])
        assert caught.value.code is ErrorCode.LOG_UNAVAILABLE
        assert caught.value.retry_after_ms
