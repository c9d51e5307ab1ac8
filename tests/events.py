"""Drafts for tests of logs."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import msgspec

from schema.event import Envelope, encode_body
from schema.stream import Stream, StreamEngine
from store.log.port import Draft

_numbers = itertools.count(1)


def event_id(number: int | None = None) -> str:
    """An id nobody else uses, or always the same for a number."""
    return f"evt_{next(_numbers) if number is None else number + 10**15:026d}"


def stream(
    key: int = 1, name: str = "user-events", tenant: str = "acme", engine: StreamEngine = StreamEngine.LEDGER
) -> Stream:
    return Stream(key=key, tenant=tenant, stream_id=f"str_{key:026d}", stream_name=name, topic_name=name, engine=engine)


def draft(
    where: Stream,
    aggregate: str | None = None,
    *,
    id: str | None = None,
    type: str = "user.created",
    payload: Any = None,
    expected: int | None = None,
    correlation: str | None = None,
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
) -> Draft:
    """A draft; `aggregate`: the id of a User. Its hash covers type, aggregate and payload."""
    body = json.dumps({} if payload is None else payload).encode()
    envelope = Envelope(
        event_id=id or event_id(),
        event_type=type,
        event_version="1.0",
        source_capability="tests",
        aggregate_id=aggregate,
        aggregate_type=None if aggregate is None else "User",
        timestamp=at,
        correlation_id=correlation,
        causation_id=None,
        tenant_id=where.tenant,
        user_id=None,
        metadata=msgspec.Raw(b"{}"),
        payload=msgspec.Raw(body),
        schema_version=None,
    )
    content = crc32(repr((type, aggregate, body)).encode()) - 2**31
    return Draft(
        envelope=envelope, body=encode_body(envelope), stream=where, content_hash=content, expected_sequence=expected
    )
