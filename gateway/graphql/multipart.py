"""A subscription as the parts of one multipart answer, as Apollo's clients ask for it
(apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol).

Every part ends with the next one's delimiter, since readers take a part as whole only then. Each payload of a
subscription carries `extensions.cursor`: HTTP has no place for it beside the response, and clients leave it alone. What
ends the subscription from outside is said as a transport error, without a payload.
"""

import msgspec

from gateway.graphql.errors import formatted_refusal
from gateway.graphql.messages import Begun, Message
from schema.errors import EsbError

MULTIPART = "multipart/mixed"

# No payload can hold the delimiter: in JSON no line begins with a dash but for a number's.
_DELIMITER = b"--graphql"
_encoder = msgspec.json.Encoder()


def _part(body: bytes) -> bytes:
    return b"\r\ncontent-type: application/json\r\n\r\n" + body + b"\r\n" + _DELIMITER


def _failure(errors: object) -> bytes:
    return _part(b'{"payload":null,"errors":' + _encoder.encode(errors) + b"}")


class Multipart:
    """One operation's answer in parts."""

    headers = (
        (b"content-type", b'multipart/mixed;boundary="graphql";subscriptionSpec=1.0'),
        (b"cache-control", b"no-cache, no-transform"),
        (b"x-accel-buffering", b"no"),
    )
    heartbeat = _part(b"{}")
    opening = _DELIMITER
    closing = b"--\r\n"

    def begun(self, _said: Begun) -> bytes:
        """Nothing: clients would take any part but a heartbeat for a result."""
        return b""

    def message(self, said: Message) -> bytes:
        """A response as one part."""
        if said.failure is not None:
            return _failure(said.failure)
        return _part(b'{"payload":' + said.resumable + b"}")

    def farewell(self, reason: EsbError) -> bytes:
        """Why it ends before its time."""
        return _failure(formatted_refusal(reason)) + self.closing
