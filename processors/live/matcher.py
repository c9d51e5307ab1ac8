"""Which listeners want which events: the only place that knows all listeners of a log.

A plain loop for now; what stands behind `match` may become an index without anyone else noticing.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

from schema.errors import ErrorCode, EsbError
from schema.event import Event

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """One subscriber's ear at one log."""

    def accepts(self, event: Event) -> bool:
        """Whether the subscriber wants the event and may read it."""

    def push(self, events: Sequence[Event]) -> None:
        """Take accepted events, in log order. Never blocks."""

    def fail(self, error: EsbError) -> None:
        """The log cannot be followed any more."""


class Matcher:
    """The listeners of one log."""

    def __init__(self) -> None:
        self._listeners: dict[Listener, None] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        """From the next event on."""
        self._listeners[listener] = None

    def remove(self, listener: Listener) -> None:
        """From now on; unknown ones are ignored."""
        self._listeners.pop(listener, None)

    def match(self, events: Sequence[Event]) -> Iterator[tuple[Listener, list[Event]]]:
        """Each listener that wants some of the events, with those it wants."""
        for listener in list(self._listeners):
            try:
                wanted = [event for event in events if listener.accepts(event)]
            except Exception:
                # One subscriber's filter must not end the others' events.
                _log.exception("a live filter failed")
                listener.fail(EsbError(ErrorCode.INTERNAL, "the filter failed on an event"))
                continue
            if wanted:
                yield listener, wanted

    def fail(self, error: EsbError) -> None:
        """End every listener."""
        for listener in list(self._listeners):
            listener.fail(error)
