"""Cursors: where a reader stands, as an opaque text that only its tenant can use.

A cursor says "go on from here": the ledger's epoch and the next position (one integer covers every ledger stream of the
tenant), the next offset of each partition of the named Kafka streams, and the last entry id of Redis streams.
On the wire: base64url of version ‖ body ‖ MAC; the MAC (keyed BLAKE2b, RFC 7693) covers the tenant's name, so a cursor
of another tenant fails like a forged one.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from typing import NamedTuple

import msgspec

from schema.errors import ErrorCode, EsbError

MAX_CURSOR_CHARS = 512
MAX_PARTITIONS = 48

_MAC_BYTES = 12
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_SHAPES = {
    b"c": re.compile(r"[A-Za-z0-9_-]{4,512}\Z"),
    # a page's last item may have long keys, and no page cursor travels in a header or a socket's URL
    b"p": re.compile(r"[A-Za-z0-9_-]{4,4096}\Z"),
}


class Cursor(NamedTuple):
    """`position`: the next ledger position (from 1). `kafka`: stream key → next offset of each partition, -1 where
    unknown. `redis`: stream key → last entry id seen. `at_ms`: milliseconds since 1970 of the newest event behind the
    cursor; a partition missing from it starts at its first record not older than that.
    """

    epoch: int
    position: int
    at_ms: int = 0
    kafka: tuple[tuple[int, tuple[int, ...]], ...] = ()
    redis: tuple[tuple[int, str], ...] = ()


class PageCursor(NamedTuple):
    """Where a page ended. `as_of`: the position at which the whole read is pinned (exclusive). `last`: the last item's
    ordering key. Signed like a cursor, and refused where a `Cursor` is wanted.
    """

    epoch: int
    as_of: int
    last: tuple[int | str, ...]


class CursorInvalid(EsbError):
    """The text is no cursor of this tenant: forged, foreign, damaged, or from a forked log."""

    def __init__(self, why: str = "it is not a cursor of this tenant") -> None:
        super().__init__(ErrorCode.CURSOR_INVALID, f"the cursor is refused: {why}")


class _Wire(NamedTuple):
    """A cursor as packed: offsets as variable-length integers, or 48 partitions would not fit in 512 characters."""

    epoch: int
    position: int
    at_ms: int
    kafka: tuple[tuple[int, bytes], ...]
    redis: tuple[tuple[int, str], ...]


def _pack(numbers: tuple[int, ...]) -> bytes:
    """Unsigned LEB128 of each number plus one, so that -1 (unknown) packs too."""
    out = bytearray()
    for number in numbers:
        if number < 0x7F:  # most are -1
            out.append(number + 1)
            continue
        rest = number + 1
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def _unpack(packed: bytes) -> tuple[int, ...]:
    numbers, rest, shift = [], 0, 0
    for byte in packed:
        rest |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(rest - 1)
            rest = shift = 0
    return tuple(numbers)


_encoder = msgspec.msgpack.Encoder()
_cursor_decoder = msgspec.msgpack.Decoder(_Wire)
_page_decoder = msgspec.msgpack.Decoder(PageCursor)


class CursorCodec:
    """Writes and reads the texts of one installation. `key`: 16 to 64 secret bytes, the same in every process."""

    def __init__(self, key: bytes) -> None:
        # keyed once: a copy of its state is cheaper than the key again
        self._keyed = hashlib.blake2b(key=key, digest_size=_MAC_BYTES)

    def encode(self, tenant: str, cursor: Cursor) -> str:
        """The text of a cursor; raises TOO_COMPLEX when it covers more partitions than fit in 512 characters."""
        epoch, position, at_ms, kafka, redis = cursor
        if kafka:
            if sum([len(offsets) for _, offsets in kafka]) > MAX_PARTITIONS:
                raise EsbError(ErrorCode.TOO_COMPLEX, f"a cursor covers at most {MAX_PARTITIONS} Kafka partitions")
            packed = tuple([(stream, _pack(offsets)) for stream, offsets in kafka])
        else:
            packed = ()
        # a plain tuple is packed as a _Wire is; one is signed for each event of every answer
        return self._sign(b"c", tenant, _encoder.encode((epoch, position, at_ms, packed, redis)))

    def decode(self, tenant: str, text: str) -> Cursor:
        """The cursor of a text; raises CURSOR_INVALID for what `encode` did not make for this tenant."""
        try:
            wire = _cursor_decoder.decode(self._verify(b"c", tenant, text))
        except msgspec.MsgspecError:
            raise CursorInvalid from None
        kafka = tuple((stream, _unpack(packed)) for stream, packed in wire.kafka)
        return Cursor(wire.epoch, wire.position, wire.at_ms, kafka, wire.redis)

    def encode_page(self, tenant: str, page: PageCursor) -> str:
        """The text of a page cursor."""
        return self._sign(b"p", tenant, _encoder.encode(page))

    def decode_page(self, tenant: str, text: str) -> PageCursor:
        """The page cursor of a text; raises CURSOR_INVALID for what `encode_page` did not make for this tenant."""
        try:
            return _page_decoder.decode(self._verify(b"p", tenant, text))
        except msgspec.MsgspecError:
            raise CursorInvalid from None

    def _mac(self, kind: bytes, tenant: str, body: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(b"%b%b\0%b" % (kind, tenant.encode(), body))
        return mac.digest()

    def _sign(self, kind: bytes, tenant: str, body: bytes) -> str:
        raw = b"%b%b%b" % (kind, body, self._mac(kind, tenant, body))
        return b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()

    def _verify(self, kind: bytes, tenant: str, text: str) -> bytes:
        if not _SHAPES[kind].match(text):
            raise CursorInvalid
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise CursorInvalid from None
        body, mac = raw[1:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if raw[:1] != kind or not hmac.compare_digest(mac, self._mac(kind, tenant, body)):
            raise CursorInvalid
        return body
