import json
from typing import Any

import pytest

from gateway.graphql.messages import Message
from gateway.graphql.multipart import Multipart
from schema.errors import ErrorCode, EsbError

ERRORS = [{"message": "too slow", "extensions": {"code": "SLOW_CONSUMER"}}]
RESULT = b'{"data":{"events":null},"extensions":{"cursor":"c"}}'
REFUSED = b'{"errors":[{"message":"no"}]}'


def parts(written: bytes) -> list[Any]:
    """What a reader takes for parts, after the first delimiter."""
    text = (b"\r\n" + Multipart().opening + written).decode()
    return [json.loads(part.partition("\r\n\r\n")[2]) for part in text.split("\r\n--graphql")[1:-1]]


@pytest.mark.parametrize(
    ("said", "part"),
    [
        (Message(b'{"data":{"events":null}}', RESULT, "c"), {"payload": json.loads(RESULT)}),
        (Message(REFUSED, REFUSED), {"payload": json.loads(REFUSED)}),
        (Message(b"{}", b"{}", failure=ERRORS), {"payload": None, "errors": ERRORS}),
    ],
)
def test_a_result_is_a_payload_and_what_ends_a_subscription_a_transport_error(said: Message, part: Any) -> None:
    assert parts(Multipart().message(said)) == [part]


def test_the_end_before_its_time_is_the_last_part() -> None:
    written = Multipart().farewell(EsbError(ErrorCode.UNAUTHENTICATED, "the token has expired"))
    assert written.endswith(b"\r\n--graphql--\r\n")
    (part,) = parts(written)
    assert (part["payload"], part["errors"][0]["extensions"]["code"]) == (None, "UNAUTHENTICATED")


def test_parts_follow_each_other() -> None:
    said = Message(RESULT, RESULT)
    written = Multipart().heartbeat + Multipart().message(said) + Multipart().message(said)
    assert parts(written) == [{}, {"payload": json.loads(RESULT)}, {"payload": json.loads(RESULT)}]
