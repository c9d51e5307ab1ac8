"""The tables of one version of a projection: its rows as they are, and every change of them in log order."""

from collections.abc import Sequence

from store.database import Connection


def rows_table(version: int) -> str:
    """The name of the table of rows: key, value as JSON text, when and where it last changed, one column an index."""
    return f"projection_{int(version)}"


def changes_table(version: int) -> str:
    """The name of the table of changes. A change's `value` is null where the row was dropped; `previous` is only filled
    where older changes are not kept."""
    return f"projection_{int(version)}_changes"


def index_column(number: int) -> str:
    """The column of the index declared at that place."""
    return f"i{int(number)}"


async def make_tables(
    connection: Connection, version: int, tenant: int, indexes: Sequence[str], reader_role: str
) -> None:
    """Make them, empty, readable for that one tenant. Call it in the transaction that records the version."""
    rows, changes = rows_table(version), changes_table(version)
    columns = "".join(
        # Folded values travel as text, so that a double stays the double it was; jsonb would not keep 1.0 apart from 1.
        f', {index_column(number)} text collate "C" generated always as'
        f" (projection_order(value::jsonb #> {_path(path)})) stored"
        for number, path in enumerate(indexes)
    )
    await connection.execute(
        f'create table {rows} (key text collate "C" primary key, position bigint not null,'
        f" recorded_at timestamptz not null, value text not null{columns}) with (fillfactor = 80)"
    )
    for number in range(len(indexes)):
        column = index_column(number)
        await connection.execute(f"create index {rows}_{column} on {rows} ({column}, key)")
    await connection.execute(
        f'create table {changes} (position bigint primary key, key text collate "C" not null,'
        " recorded_at timestamptz not null, value text, previous text)"
    )
    await connection.execute(f"create index {changes}_key on {changes} (key, position)")
    for table in (rows, changes):
        await connection.execute(f"grant select on {table} to {reader_role}")
        await connection.execute(f"alter table {table} enable row level security")
        await connection.execute(
            f"create policy of_tenant on {table} for select to {reader_role}"
            f" using (current_setting('esb.tenant')::int = {int(tenant)})"
        )


async def drop_tables(connection: Connection, version: int) -> None:
    """Drop them, if they are there."""
    await connection.execute(f"drop table if exists {rows_table(version)}, {changes_table(version)}")


def _path(path: str) -> str:
    """A dotted path as a constant of DDL, which takes no parameters."""
    segments = ",".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in path.split("."))
    return "'{" + segments.replace("'", "''") + "}'::text[]"
