"""Events and pages as JSON in snake_case, spliced from bytes that are encoded already."""

from collections.abc import Iterable

import msgspec

from schema.event import Event, encode_event

_encoder = msgspec.json.Encoder()


def event_with_cursor(event: Event, cursor: str) -> bytes:
    """The event's JSON with its cursor in front. A cursor is base64url: nothing in it needs escaping."""
    return b'{"cursor":"%b",%b' % (cursor.encode(), encode_event(event)[1:])


def page_of_events(events: Iterable[bytes], after: str | None, as_of: str) -> bytes:
    """A page: `after` asks for the next one, null at the end; `as_of` is where a live reader goes on without gap."""
    rest = _encoder.encode({"after": after, "as_of": as_of})
    return b'{"events":[%b],%b' % (b",".join(events), rest[1:])
