"""What an append reads does not grow with the log, whatever PostgreSQL knew of the tables when it made its plans."""

from store.log.port import Command
from tests.events import draft
from tests.integration.store.ledger.conftest import Process

_READ = """
select sum(idx_tup_read)::bigint from pg_stat_user_indexes
where relname like 'events_from%' or relname = 'event_ids'
"""
_NO_STATISTICS = "alter table {} set (autovacuum_enabled = false)"


async def entries_read(ledger: Process) -> int:
    """Index entries read so far, by all."""
    async with ledger.database.committing(5) as connection:  # the one that appends: it says what it has read
        await connection.execute("select pg_stat_force_next_flush()")
    async with ledger.database.writing() as connection:
        count: int = await connection.fetchval(_READ)
    return count


async def cost_of(ledger: Process, start: int) -> float:
    """Index entries read for each of 400 events: new aggregates, known ones and repeats."""
    before = await entries_read(ledger)
    known = [draft(ledger.stream, f"u{n}") for n in range(start, start + 100)]
    await ledger.log.append([Command(events=[one]) for one in known])
    await ledger.log.append([Command(events=[draft(ledger.stream, f"u{n}")]) for n in range(start, start + 200)])
    await ledger.log.append([Command(events=[one]) for one in known])
    return (await entries_read(ledger) - before) / 400


async def test_an_append_reads_as_much_from_a_long_log_as_from_a_new_one(ledger: Process) -> None:
    async with ledger.database.writing() as connection:
        for table in ("events_from_0", "event_ids"):
            await connection.execute(_NO_STATISTICS.format(table))
    new = await cost_of(ledger, 0)
    for start in range(1000, 9000, 1000):
        await ledger.log.append([Command(events=[draft(ledger.stream, f"v{n}")]) for n in range(start, start + 1000)])
    grown = await cost_of(ledger, 1000)
    assert 0 < new <= 4
    assert grown <= 4, "plans made on empty tables read more and more"
    async with ledger.database.writing() as connection:
        await connection.execute("analyze")
    known = await cost_of(ledger, 2000)
    assert known <= 4, "plans made with statistics read too much"
