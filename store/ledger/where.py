"""A read's filter: what SQL decides, and the rest that Python decides after it."""

from typing import Any

from schema.event import Event
from schema.filter.ast import Filter
from schema.filter.python import compile_filter
from schema.filter.sql import compile_sql


class Where:
    """A filter compiled for one statement; None: everything. `text`: a condition on the alias `e`; its constants were
    appended to `values`.
    """

    def __init__(self, where: Filter | None, values: list[Any]) -> None:
        self.text = "true"
        self._rest = None
        if where is not None:
            compiled = compile_sql(where, values)
            self.text = compiled.text
            self._rest = None if compiled.exact else compile_filter(where)

    @property
    def exact(self) -> bool:
        """Whether SQL decides alone."""
        return self._rest is None

    def keeps(self, event: Event) -> bool:
        """Whether an event that SQL let through really matches."""
        return self._rest is None or self._rest(event)
