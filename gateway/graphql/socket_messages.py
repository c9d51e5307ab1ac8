"""The messages of graphql-transport-ws (github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md), as bytes."""

from datetime import datetime
from enum import IntEnum

import msgspec

SUBPROTOCOL = "graphql-transport-ws"

NOTHING = msgspec.Raw(b"")


class CloseCode(IntEnum):
    """Why a socket is closed. 4403 and 1012 make graphql-ws connect again; after 4400, 4401 and 4409 it does not."""

    RESTART = 1012
    INVALID_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL = 4406
    INIT_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITS = 4429


class Message(msgspec.Struct):
    """What a client sends."""

    type: str
    id: str | None = None
    payload: msgspec.Raw = NOTHING


class InitPayload(msgspec.Struct):
    """`connection_init`: the token, where a browser cannot set headers; `cursors`: put one beside every `next`;
    `progress`: say by `ping` where a subscription begins, so that it is known before the first `next`.
    """

    authorization: str | None = None
    Authorization: str | None = None
    cursors: bool = False
    progress: bool = False


message_decoder = msgspec.json.Decoder(Message)
init_decoder = msgspec.json.Decoder(InitPayload)
_encoder = msgspec.json.Encoder()

ACK = b'{"type":"connection_ack"}'


def pong(payload: msgspec.Raw) -> bytes:
    """The answer to a ping; its payload comes back."""
    said = bytes(memoryview(payload))
    return b'{"type":"pong","payload":' + said + b"}" if said and said != b"null" else b'{"type":"pong"}'


def renewed_pong(authorized: bool, *, expires_at: datetime | None = None, retry_after_ms: int | None = None) -> bytes:
    """The answer to a ping that carried a fresh token."""
    said: dict[str, object] = {"authorized": authorized}
    if authorized:
        said["expiresAt"] = expires_at
    elif retry_after_ms is not None:
        said["retryAfterMs"] = retry_after_ms
    return b'{"type":"pong","payload":' + _encoder.encode(said) + b"}"


def progress_of(quoted_id: bytes, cursor: str) -> bytes:
    """A ping that says where an operation stands. Every client answers pings, and those that know look into them."""
    return b'{"type":"ping","payload":{"cursors":{' + quoted_id + b':"' + cursor.encode() + b'"}}}'


def next_of(quoted_id: bytes, response: bytes) -> bytes:
    """One result."""
    return next_head(quoted_id) + next_tail(response)


def next_head(quoted_id: bytes) -> bytes:
    """What of a result is the operation's own."""
    return b'{"id":' + quoted_id + b',"type":"next","payload":'


def next_tail(response: bytes) -> bytes:
    """What of a result all who get it share."""
    return response + b"}"


def error_of(quoted_id: bytes, errors: object) -> bytes:
    """The operation ended by `errors`; nothing follows it."""
    return b'{"id":' + quoted_id + b',"type":"error","payload":' + _encoder.encode(errors) + b"}"


def complete_of(quoted_id: bytes) -> bytes:
    """The operation is over."""
    return b'{"id":' + quoted_id + b',"type":"complete"}'


def quoted(operation_id: str) -> bytes:
    """An operation's id as JSON."""
    return _encoder.encode(operation_id)
