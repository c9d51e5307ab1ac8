from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from processors.admission.canonical import ContentHash
from processors.admission.drafting import Drafter, Tools
from processors.admission.envelope import check, check_identity
from processors.admission.routing import Router
from schema.errors import ErrorCode, EsbError
from schema.event import MAX_EVENT_BYTES, decode_body
from schema.identifier import IdentifierSource
from schema.input import ClientContext, EventInput
from schema.principal import Action, Grant, Principal
from schema.stream import Stream, StreamEngine

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WHO = Principal(tenant="acme", subject="ada", client="crm", grants=(Grant(Action.PUBLISH),))


def said(**more) -> EventInput:
    return EventInput(**{"event_type": "user.created", "payload": msgspec.Raw(b'{"a":1}'), **more})


def drafter(client: ClientContext) -> Drafter:
    stream = Stream(
        key=1, tenant="acme", stream_id="str_1", stream_name="users", topic_name="users", engine=StreamEngine.LEDGER,
        event_patterns=("**",),
    )  # fmt: skip
    tools = Tools(ContentHash(b"h" * 32), IdentifierSource())
    return Drafter(tools, {("acme", "X"): 1}, WHO, client, NOW, Router([stream], []))


def code(**more) -> ErrorCode:
    with pytest.raises(EsbError) as refused:
        drafter(ClientContext()).draft(said(**more))
    return refused.value.code


@pytest.mark.parametrize(
    "bad",
    [
        {"event_type": ""},
        {"event_type": "no spaces"},
        {"event_type": "a..b"},
        {"event_type": ".a"},
        {"event_type": "a\n"},
        {"event_type": "a" * 256},
        {"event_version": "1 0"},
        {"event_version": ""},
        {"event_id": "evt_1"},
        {"event_id": "01J2X3Y4Z5A6B7C8D9E0F1G2H3"},
        {"aggregate_id": "x"},
        {"aggregate_type": "X"},
        {"aggregate_id": "", "aggregate_type": "X"},
        {"aggregate_id": "a\x00", "aggregate_type": "X"},
        {"aggregate_id": "a" * 257, "aggregate_type": "X"},
        {"aggregate_id": "a", "aggregate_type": "X Y"},
        {"correlation_id": "\x1b[0m"},
        {"causation_id": "\ud800"},
        {"expected_sequence": 1},
        {"expected_sequence": -1, "aggregate_id": "a", "aggregate_type": "X"},
        {"timestamp": datetime(2026, 1, 1)},
        {"timestamp": NOW + timedelta(minutes=5, seconds=1)},
        {"timestamp": datetime.max.replace(tzinfo=UTC)},
        {"metadata": msgspec.Raw(b"[1]")},
        {"metadata": msgspec.Raw(b'{"a":"\\u0000"}')},
        {"payload": msgspec.Raw(b'"\\u0000"')},
        {"payload": msgspec.Raw(b'{"a":"\\\\\\u0000"}')},
        {"payload": msgspec.Raw(b'{"a":1e-20000}')},
        {"payload": msgspec.Raw(b"[" * 900 + b"]" * 900)},
        {"payload": msgspec.Raw(b'"\\ud800"')},
        {"payload": msgspec.Raw(b"1e400")},
        {"payload": msgspec.Raw(b"\xff")},
        {"payload": msgspec.Raw(b"{")},
        {"payload": msgspec.Raw(b"[" * 5000 + b"]" * 5000)},
    ],
)
def test_what_can_never_be_an_event_is_bad_input(bad):
    assert code(**bad) is ErrorCode.BAD_INPUT


def test_an_escaped_backslash_before_u0000_is_text():
    check(said(payload=msgspec.Raw(b'"\\\\u0000"')), WHO)


def test_too_large_and_foreign_have_codes_of_their_own():
    big = msgspec.Raw(b'"' + b"x" * MAX_EVENT_BYTES + b'"')
    assert code(payload=big) is ErrorCode.PAYLOAD_TOO_LARGE
    assert code(tenant_id="other") is ErrorCode.FORBIDDEN
    check(said(tenant_id="acme"), WHO)


def test_the_envelope_is_stamped_and_keeps_what_was_said():
    client = ClientContext(ip_address="10.0.0.1", user_agent="curl", session_id=None)
    draft = drafter(client).draft(said(metadata=msgspec.Raw(b'{"user_agent":"mine","x":1}')))
    made = decode_body(draft.body)
    assert (made.user_id, made.source_capability, made.tenant_id) == ("ada", "crm", "acme")
    assert made.timestamp == NOW
    assert made.event_version == "1.0"
    assert made.metadata_document == {"user_agent": "mine", "x": 1, "ip_address": "10.0.0.1"}
    assert bytes(made.payload) == b'{"a":1}'


def test_naming_another_user_or_source_needs_manage():
    for other in ({"user_id": "eve"}, {"source_capability": "billing"}):
        with pytest.raises(EsbError) as refused:
            check_identity(said(**other), WHO, "users")
        assert refused.value.code is ErrorCode.FORBIDDEN
        manager = msgspec.structs.replace(WHO, grants=(Grant(Action.MANAGE, "users"),))
        check_identity(said(**other), manager, "users")
    check_identity(said(user_id="ada", source_capability="crm"), WHO, "users")
