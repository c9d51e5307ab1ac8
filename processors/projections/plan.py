"""A declaration made ready to run: which row an event belongs to, and what it makes of it."""

from typing import Any

from schema.errors import ErrorCode, EsbError, bad_input
from schema.event import Event
from schema.filter.counted import compile_counted
from schema.filter.failure import kind_of
from schema.folding.fold import compile_reducers
from schema.folding.limits import MAX_WORK
from schema.projections.declared import Declaration

MAX_KEY_BYTES = 512


class Plan:
    """One declaration. `fold`: of its reducers. `wanted`: a filter of the events that can change a row."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.wanted = declaration.wanted
        self.fold = compile_reducers(declaration.reducers)
        self._left = 0
        self._key = compile_counted(declaration.key.tree, self._spend)

    def key_of(self, event: Event) -> str | None:
        """The key of the event's row; None: it belongs to none. Raises EsbError where the expression has no value, or
        one that is no key."""
        self._left = MAX_WORK
        try:
            value = self._key({"event": event})
        except EsbError as error:
            why = f"event {event.event_id} ({event.event_type}) has no key: {error.message}"
            raise EsbError(error.code, why) from error
        if value is None:
            return None
        key = _text(value)
        if key is None or not 1 <= len(key.encode()) <= MAX_KEY_BYTES:
            what = kind_of(value) if key is None else f"a text of {len(key.encode())} bytes"
            raise bad_input(
                f"event {event.event_id} ({event.event_type}) has no key: a key is a text of 1 to {MAX_KEY_BYTES}"
                f" bytes, a whole number, true or false, not {what}"
            )
        return key

    def _spend(self, units: int) -> None:
        self._left -= units
        if self._left < 0:
            raise EsbError(ErrorCode.TOO_COMPLEX, f"the expression runs too long: over {MAX_WORK} units of work")


def _text(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
    return None
