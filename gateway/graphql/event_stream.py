"""GraphQL as server-sent events (html.spec.whatwg.org, "Server-sent events"), in the two modes of
github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md.

One operation a stream: each message of a subscription carries its cursor as `id:`; a browser sends the last one back as
`Last-Event-ID` when it connects again, and the subscription goes on from there. Many operations on one stream: messages
name their operation, and carry `extensions.cursor`, since one `id:` cannot stand for all of them. A stream that ends
without `complete` is one to come back to.
"""

import msgspec

from gateway.graphql.messages import Begun, Message
from schema.errors import EsbError

EVENT_STREAM = "text/event-stream"
EVENT_STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
HEARTBEAT = b":\n\n"
OPENING = b"retry: 1000\n\n"

_encoder = msgspec.json.Encoder()


class EventStream:
    """One operation a stream. `with_cursors`: `extensions.cursor` beside the `id:`, for clients that do not see ids."""

    headers = EVENT_STREAM_HEADERS
    heartbeat = HEARTBEAT
    opening = OPENING
    closing = b"event: complete\ndata: \n\n"

    def __init__(self, *, with_cursors: bool = False) -> None:
        self._with_cursors = with_cursors

    def begun(self, said: Begun) -> bytes:
        """An `id:` without an event: a browser that connects again before there was any goes on from here."""
        return b"id: " + said.cursor.encode() + b"\n\n"

    def message(self, said: Message) -> bytes:
        """A response as one event."""
        event = b"event: next\ndata: " + _one_line(said.resumable if self._with_cursors else said.body) + b"\n\n"
        return event if said.cursor is None else b"id: " + said.cursor.encode() + b"\n" + event

    def farewell(self, _reason: EsbError) -> bytes:
        """Nothing: without `complete` the client knows that it was not the end."""
        return b""


def next_of(operation_id: str, said: Message) -> bytes:
    """A response of one of many operations."""
    payload = _one_line(said.resumable)
    return b'event: next\ndata: {"id":' + _encoder.encode(operation_id) + b',"payload":' + payload + b"}\n\n"


def complete_of(operation_id: str) -> bytes:
    """One of many operations is over."""
    return b'event: complete\ndata: {"id":' + _encoder.encode(operation_id) + b"}\n\n"


def _one_line(response: bytes) -> bytes:
    """Payloads are spliced in as they were published, line breaks between values included; a line break would end the
    event, and in JSON any blank says the same."""
    return response.replace(b"\r", b" ").replace(b"\n", b" ")
