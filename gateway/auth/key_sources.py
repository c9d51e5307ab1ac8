"""Where the keys that verify an issuer's tokens come from."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

import httpx
import msgspec
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from gateway.auth.claims import Unauthenticated
from schema.errors import ErrorCode, EsbError

MAX_KEYS_BYTES = 512 * 1024
FETCH_TIMEOUT_S = 5.0
KEYS_MAX_AGE_S = 600.0
REFRESH_INTERVAL_S = 10.0
RETRY_INTERVAL_S = 2.0

_log = structlog.get_logger(__name__)


class KeySource(Protocol):
    """Finds the key a token says it was signed with."""

    async def key(self, kid: str | None) -> Key:
        """The key; raises UNAUTHENTICATED when the issuer has no such key."""


class FixedKey:
    """One key, known beforehand: the installation's own."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def key(self, kid: str | None) -> Key:
        """The key, whatever the token calls it."""
        return self._key


class JwksKeys:
    """An issuer's published keys (RFC 7517), fetched when first needed and kept.

    An unknown key id fetches them again, since issuers rotate; but at most every ten seconds, or anyone could make the
    gateway hammer the issuer with invented ids. Keys older than ten minutes are fetched again, so that a key the issuer
    withdrew stops opening doors; when that fails the old ones stay in use. `changed` is called when the keys differ.
    """

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._client = client
        self._changed = changed
        self._clock = clock
        self._keys: dict[str | None, Key] = {}
        self._fetched_at = float("-inf")
        self._next_try = float("-inf")
        self._fetching = asyncio.Lock()

    async def key(self, kid: str | None) -> Key:
        """The key with this id (without an id: the only one there is).

        Raises UNAUTHENTICATED when there is none, TIMEOUT when the issuer could never be reached.
        """
        if self._clock() - self._fetched_at > KEYS_MAX_AGE_S or self._find(kid) is None:
            await self._refresh()
        found = self._find(kid)
        if found is None:
            if self._fetched_at == float("-inf"):
                raise EsbError(
                    ErrorCode.TIMEOUT,
                    "the keys of the token's issuer could not be fetched",
                    retry_after_ms=int(RETRY_INTERVAL_S * 1000),
                )
            raise Unauthenticated("its issuer has no key of that id")
        return found

    def _find(self, kid: str | None) -> Key | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        async with self._fetching:
            if self._clock() < self._next_try:
                return
            try:
                keys = _parsed(await self._fetch())
            except (httpx.HTTPError, JoseError, ValueError, TimeoutError) as error:
                self._next_try = self._clock() + RETRY_INTERVAL_S
                _log.warning("issuer keys not fetched", url=self._url, error=str(error), kept=len(self._keys))
                return
            self._fetched_at = self._clock()
            self._next_try = self._fetched_at + REFRESH_INTERVAL_S
            before = {name: key.thumbprint() for name, key in self._keys.items()}
            self._keys = keys
            if before != {name: key.thumbprint() for name, key in keys.items()}:
                self._changed()

    async def _fetch(self) -> bytes:
        async with asyncio.timeout(FETCH_TIMEOUT_S), self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_KEYS_BYTES:
                    raise ValueError("the key set is too large")
            return bytes(body)


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


def _parsed(body: bytes) -> dict[str | None, Key]:
    """The signing keys of a JWK set by id. One key of a kind we do not know must not cost the others."""
    found: dict[str | None, Key] = {}
    for document in msgspec.json.decode(body, type=_KeySet).keys:
        if document.get("use", "sig") != "sig" or document.get("kty") not in ("RSA", "EC", "OKP"):
            continue
        try:
            key = JWKRegistry.import_key(document)
        except (JoseError, ValueError, TypeError) as error:
            _log.warning("issuer key not understood", kid=document.get("kid"), error=str(error))
            continue
        found[document.get("kid")] = key
    return found
