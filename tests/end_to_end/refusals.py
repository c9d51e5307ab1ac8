"""What every refusal must look like on the wire: its own code and status, JSON in its media type, no word of our own
insides."""

from typing import Any

import httpx

STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "TOO_COMPLEX": 400,
    "BAD_INPUT": 400,
    "PAYLOAD_TOO_LARGE": 413,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERSISTED_QUERY_NOT_FOUND": 404,
    "SEQUENCE_CONFLICT": 409,
    "CONDITION_FAILED": 412,
    "DUPLICATE_CONFLICT": 409,
    "UNKNOWN_STREAM": 404,
    "UNSUPPORTED_BY_ENGINE": 400,
    "CURSOR_INVALID": 400,
}
INSIDES = ("Traceback", "INTERNAL", 'File "', "asyncpg", "msgspec.", "strawberry", "starlette")


def tells_nothing_of_insides(text: str) -> None:
    assert not [word for word in INSIDES if word in text], text[:500]


def problem(answer: httpx.Response, status: int | None = None) -> str:
    """The code of an RFC 9457 problem. `status`: where it is not the usual one of the code."""
    tells_nothing_of_insides(answer.text)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert answer.status_code == body["status"] == (status or STATUS[body["code"]]), body
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return str(body["code"])


def graphql_error(answer: httpx.Response) -> str:
    """The code of the first error of a GraphQL response, whichever of the two media types it has."""
    tells_nothing_of_insides(answer.text)
    assert answer.headers["content-type"] in (
        "application/json; charset=utf-8",
        "application/graphql-response+json; charset=utf-8",
    )
    assert answer.status_code < 500, answer.text
    return error_code(answer.json()["errors"][0])


def error_code(error: dict[str, Any]) -> str:
    """The code of one GraphQL error that has all the contract says."""
    assert error["message"]
    extensions = error["extensions"]
    assert extensions.keys() >= {"code", "retryable", "requestId"}, extensions
    assert extensions["code"] in STATUS, error
    return str(extensions["code"])
