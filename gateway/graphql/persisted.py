"""Automatic persisted queries: a client sends a document once, and its hash from then on (Apollo's protocol,
www.apollographql.com/docs/apollo-server/performance/apq).

What is kept serves every tenant, since a hash can mean one text only. New hashes have a quarter of the space and push
out one another; only one that was asked for is kept with those in use. So nobody who sends ever new documents takes
away what others use. Each process keeps its own: a hash it does not know costs the client one more round trip.
"""

from collections import OrderedDict
from hashlib import sha256

MAX_BYTES = 4 * 1024 * 1024
_BYTES_AN_ENTRY = 400


def hash_of(text: str) -> str:
    """The SHA-256 of a document as clients send it: lower-case hexadecimal."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class PersistedQueries:
    """Documents by hash, least recently used first to go, bounded by the memory they are estimated to take."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._new = _Recent(max_bytes // 4)
        self._used = _Recent(max_bytes - max_bytes // 4)

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._new) + len(self._used)

    def get(self, digest: str) -> str | None:
        """The document of that hash, if it is kept."""
        text = self._used.get(digest)
        if text is None:
            text = self._new.pop(digest)
            if text is not None:
                self._used.put(digest, text)
        return text

    def put(self, digest: str, text: str) -> None:
        """Keep a document that can be run."""
        if self._used.get(digest) is None:
            self._new.put(digest, text)


class _Recent:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._texts: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._texts)

    def get(self, digest: str) -> str | None:
        text = self._texts.get(digest)
        if text is not None:
            self._texts.move_to_end(digest)
        return text

    def pop(self, digest: str) -> str | None:
        text = self._texts.pop(digest, None)
        if text is not None:
            self._bytes -= _size(text)
        return text

    def put(self, digest: str, text: str) -> None:
        self.pop(digest)
        self._texts[digest] = text
        self._bytes += _size(text)
        while self._bytes > self._max_bytes:
            _, gone = self._texts.popitem(last=False)
            self._bytes -= _size(gone)


def _size(text: str) -> int:
    """A text holds one byte a character, or up to four where it is not ASCII."""
    return _BYTES_AN_ENTRY + (len(text) if text.isascii() else 4 * len(text))
