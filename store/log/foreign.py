"""Bodies from logs that others may write to: Kafka topics and Redis streams."""

import msgspec

from schema.event import Event, decode_body
from schema.stream import Stream


class NotAnEvent(Exception):
    """What was read holds no event of its stream; the message says why."""


def decode_for(stream: Stream, body: bytes | None) -> Event:
    """The event in a body, its place still to be filled in. Raises NotAnEvent; a body naming another tenant is none,
    or a foreign producer could speak for that tenant's users.
    """
    if body is None:
        raise NotAnEvent("there is no value")
    try:
        # The decoder leaves payload and metadata as they came, but what is not UTF-8 cannot be handed to anybody.
        if not body.isascii():
            body.decode()
        event = decode_body(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotAnEvent(f"not an envelope: {error}") from error
    if event.tenant_id != stream.tenant:
        raise NotAnEvent("the envelope names another tenant")
    event.stream = stream.stream_name
    return event
