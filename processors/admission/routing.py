"""Which stream an event belongs to.

A named stream; else the stream whose event patterns match (most literal first, then oldest); else the routing rules by
priority; else `{first segment}-events` where that exists; else UNKNOWN_STREAM.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.filter.pattern import TypePattern
from schema.filter.python import compile_filter
from schema.filter.typed import parse_filter
from schema.stream import Route, SchemaEnforcement, Stream

_MAX_REMEMBERED = 10_000


class Decision(NamedTuple):
    """The stream taken, and why, in words for `esb route explain`."""

    stream: Stream
    why: str


class Router:
    """The routing of one tenant, made anew when its streams or routes change."""

    def __init__(self, streams: Sequence[Stream], routes: Sequence[Route]) -> None:
        self._by_name = {
            stream.stream_name: Decision(stream, f"the publisher named {stream.stream_name!r}") for stream in streams
        }
        oldest_first = sorted(streams, key=lambda stream: stream.key)
        patterns = [(TypePattern(text), stream) for stream in oldest_first for text in stream.event_patterns]
        # the sort is stable, also in reverse: among equally literal patterns the oldest stream stays first
        self._patterns = sorted(patterns, key=lambda pair: pair[0].literalness, reverse=True)
        self._rules = [
            (route, compile_filter(parse_filter(route.where)))
            for route in sorted(routes, key=lambda route: (-route.priority, route.route_id))
        ]
        self._by_type: dict[str, Decision | None] = {}
        # whether payloads have to be held against schemas at all
        self.checks_payloads = any(stream.schema_enforcement is not SchemaEnforcement.OFF for stream in streams)

    def route(self, named: str | None, event_type: str, event: Callable[[], Event]) -> Decision:
        """The decision; raises UNKNOWN_STREAM. `event` is called only if routing rules must look into the event."""
        if named is not None:
            if (decided := self._by_name.get(named)) is None:
                raise unknown_stream(f"there is no stream {named!r}; create it with createStream")
            return decided
        if (decision := self._by_pattern(event_type)) is not None:
            return decision
        for rule, matches in self._rules:
            if rule.stream in self._by_name and matches(event()):
                stream = self._by_name[rule.stream].stream
                return Decision(stream, f"route {rule.name!r} with priority {rule.priority} matches")
        default = f"{event_type.partition('.')[0]}-events"
        if (meant := self._by_name.get(default)) is not None:
            return Decision(meant.stream, f"no pattern or route matches; {default!r} is the default for {event_type!r}")
        raise unknown_stream(
            f"no stream takes {event_type!r}: name one, or create a stream with an event pattern for it, or {default!r}"
        )

    def _by_pattern(self, event_type: str) -> Decision | None:
        if event_type not in self._by_type:
            if len(self._by_type) >= _MAX_REMEMBERED:
                self._by_type.clear()
            self._by_type[event_type] = next(
                (
                    Decision(stream, f"event pattern {pattern.text!r} of stream {stream.stream_name!r} matches")
                    for pattern, stream in self._patterns
                    if pattern.matches(event_type)
                ),
                None,
            )
        return self._by_type[event_type]


def unknown_stream(message: str) -> EsbError:
    """The refusal of an event that belongs nowhere."""
    return EsbError(ErrorCode.UNKNOWN_STREAM, message)
