"""The two spellings of an event as published decode to the same words."""

import msgspec
import pytest

from schema.input import EventInput, GraphQLEventInput


@pytest.mark.parametrize(("spoken", "kind"), [(b"event_type", EventInput), (b"eventType", GraphQLEventInput)])
def test_metadata_may_be_left_out_null_or_said(spoken: bytes, kind: type[EventInput]) -> None:
    decode = msgspec.json.Decoder(kind).decode
    start = b'{"' + spoken + b'":"user.created","payload":{"a":1}'
    assert decode(start + b"}").metadata is None
    assert decode(start + b',"metadata":null}').metadata is None
    said = decode(start + b',"metadata":{"b":2}}')
    assert said.metadata is not None
    assert bytes(said.metadata) == b'{"b":2}'
    assert isinstance(said, EventInput)


def test_the_spellings_do_not_mix() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `event_type`"):
        msgspec.json.decode(b'{"event_type":"user.created","payload":1}', type=GraphQLEventInput)
