"""A request whose headers are looked up by hash.

Starlette's walk the list at every look, encoding and comparing: a dozen looks a request were a tenth of a publish.
"""

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope


class IndexedHeaders(Headers):
    """Headers of an ASGI scope. Of several of one name the first counts, as with Starlette's own."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first: dict[bytes, bytes] = dict(reversed(self._list))

    def __getitem__(self, key: str) -> str:
        """The value; raises KeyError."""
        return self._first[key.lower().encode("latin-1")].decode("latin-1")

    def get(self, key: str, default: Any = None, /) -> Any:
        """The value, or what stands for a header that is not there: most that are looked for are not."""
        value = self._first.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")

    def __contains__(self, key: object) -> bool:
        """Whether there is such a header."""
        return isinstance(key, str) and key.lower().encode("latin-1") in self._first


class IndexedRequest(Request):
    """Starlette's request, with such headers."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self._headers = IndexedHeaders(scope)
