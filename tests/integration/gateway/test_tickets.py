"""Tickets in a real PostgreSQL: once, by whichever process comes first, and not for long."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from gateway.auth.tickets import Tickets
from schema.errors import ErrorCode, EsbError
from schema.principal import Action, Grant, Principal
from store.database import Database
from store.tickets import TicketRows


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[list[Database]]:
    """Two gateways' databases."""
    both = [Database(database_url, max_size=4) for _ in range(2)]
    for database in both:
        await database.start()
    yield both
    for database in both:
        await database.close()


def principal(tenant: str = "acme") -> Principal:
    return Principal(
        tenant=tenant,
        subject="ann",
        client="shop",
        grants=(Grant(Action.READ, "orders*"), Grant(Action.PUBLISH)),
        expires_at=time.time() + 60,
        token_id="t1",
    )


async def refused(tickets: Tickets, text: str, now: float | None = None) -> str:
    with pytest.raises(EsbError) as caught:
        await tickets.redeem(text, time.time() if now is None else now)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    return caught.value.message


async def test_a_ticket_stands_for_its_whole_principal_in_another_process(processes: list[Database]) -> None:
    here, there = (Tickets(TicketRows(database)) for database in processes)
    said = principal()
    ticket = await here.issue(said)
    assert ticket.expires_in_ms == 30_000
    assert await there.redeem(ticket.ticket, time.time()) == said


async def test_of_many_that_redeem_it_at_once_one_wins(processes: list[Database]) -> None:
    both = [Tickets(TicketRows(database)) for database in processes]
    for _ in range(5):
        text = (await both[0].issue(principal())).ticket
        tries = [both[i % 2].redeem(text, time.time()) for i in range(16)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(result, Principal) for result in results) == 1
        assert all(result.code is ErrorCode.UNAUTHENTICATED for result in results if isinstance(result, EsbError))


async def test_what_is_no_ticket_or_too_old_opens_nothing(processes: list[Database]) -> None:
    tickets = Tickets(TicketRows(processes[0]), ttl_s=0.05)
    await refused(tickets, "")
    await refused(tickets, "tkt_")
    await refused(tickets, "tkt_invented")
    text = (await tickets.issue(principal())).ticket
    async with processes[0].writing() as connection:
        await connection.execute("select pg_sleep(0.1)")
    await refused(tickets, text)


async def test_a_ticket_does_not_outlive_its_token(processes: list[Database]) -> None:
    tickets = Tickets(TicketRows(processes[0]))
    said = principal()
    text = (await tickets.issue(said)).ticket
    assert "expired" in await refused(tickets, text, said.expires_at)


async def test_a_tenants_tickets_are_bounded_and_expired_ones_make_room(processes: list[Database]) -> None:
    tickets = Tickets(TicketRows(processes[0]), ttl_s=0.3, per_tenant=3)
    for _ in range(3):
        await tickets.issue(principal())
    with pytest.raises(EsbError) as caught:
        await tickets.issue(principal())
    assert caught.value.code is ErrorCode.RATE_LIMITED
    await tickets.issue(principal("other"))
    async with processes[0].writing() as connection:
        await connection.execute("select pg_sleep(0.35)")
        await tickets.issue(principal())
        assert await connection.fetchval("select count(*) from tickets") == 1


async def test_the_table_holds_nothing_that_opens(processes: list[Database]) -> None:
    text = (await Tickets(TicketRows(processes[0])).issue(principal())).ticket
    async with processes[0].writing() as connection:
        row = await connection.fetchrow("select * from tickets")
    assert row is not None
    assert text not in str(dict(row))


async def test_without_postgresql_tickets_say_so(processes: list[Database]) -> None:
    tickets = Tickets(TicketRows(processes[0]))
    await processes[0].close()
    with pytest.raises(EsbError) as caught:
        await tickets.redeem("tkt_any", time.time())
    assert caught.value.code is ErrorCode.LOG_UNAVAILABLE
