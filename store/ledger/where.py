"""A filter as SQL decides it, and the rest that Python decides after it."""

from typing import Any

from schema.event import Event
from schema.filter.ast import Filter


class Where:
    """One filter of a read; None: everything."""

    def __init__(self, where: Filter | None) -> None:
        self._where = where
        self._rest = None

    def sql(self, values: list[Any]) -> str:
        """The condition on the alias `e`; appends its values."""
        from schema.filter.sql import compile_sql

        return compile_sql(self._where, values)

    def keep(self, events: list[Event]) -> list[Event]:
        """Those of the events SQL let through that really match."""
        return events
