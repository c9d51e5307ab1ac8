"""Reading a JSON body: its type checked, its size limited while it arrives."""

import re
from typing import TypeVar

import msgspec
from starlette.requests import Request

from gateway.problems import HttpRefusal
from schema.errors import ErrorCode, EsbError, bad_input

_JSON = re.compile(r"application/([a-z0-9.+-]+\+)?json\s*(;.*)?\Z", re.IGNORECASE)

_T = TypeVar("_T")

ASSIGNED = frozenset(
    {"sequence_number", "position", "partition", "offset", "recorded_at", "entry_id", "cursor", "erased_paths", "id"}
)
"""What the log says of an event: a publisher that sends it believes something that is not so."""


async def read_json(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes of it ever in memory.

    Raises BAD_INPUT (415) for another content type or an encoded body, PAYLOAD_TOO_LARGE as soon as it is known.
    """
    headers = request.headers
    if not _JSON.match(headers.get("content-type", "")):
        raise HttpRefusal(415, ErrorCode.BAD_INPUT, "the body must be JSON: Content-Type: application/json")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpRefusal(415, ErrorCode.BAD_INPUT, "the body must not be compressed")
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 2 and not chunks[1] else b"".join(chunks)


def decoded(decoder: "msgspec.json.Decoder[_T]", body: bytes | msgspec.Raw, what: str) -> _T:
    """The body as the decoder's type; raises BAD_INPUT that says where it is wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise bad_input(f"{what}: {_explained(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_input(f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise bad_input(f"{what} is nested too deeply") from None


def converted(document: object, kind: type[_T], what: str) -> _T:
    """A decoded document as a type; raises BAD_INPUT that says where it is wrong."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise bad_input(f"{what}: {_explained(str(error))}") from None


def _explained(message: str) -> str:
    found = re.search(r"unknown field `([^`]*)`", message)
    if found and found.group(1) in ASSIGNED:
        return f"`{found.group(1)}` is assigned by the server and cannot be sent"
    return message


def _too_large(limit: int) -> EsbError:
    return EsbError(
        ErrorCode.PAYLOAD_TOO_LARGE, f"the body is larger than {limit} bytes", details={"limit_bytes": limit}
    )
