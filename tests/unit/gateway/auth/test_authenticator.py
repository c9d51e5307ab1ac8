"""Tokens: what opens, what does not. The issuer is a real HTTP server on loopback."""

import base64
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from gateway.auth.authenticator import LOCAL_ISSUER, Authenticator
from gateway.auth.roles import Roles
from gateway.auth.token_issuer import TokenIssuer
from gateway.settings import IssuerSettings
from schema.errors import ErrorCode, EsbError
from schema.principal import Action

SECRET = b"s" * 32
ROLES = Roles({"orders": {Action.READ: ("order*",), Action.PUBLISH: ("orders",)}})
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class IdentityProvider:
    """Serves a JWK set, counts the fetches, and breaks on demand."""

    def __init__(self) -> None:
        self.keys: list[Key] = [RSA, EC]
        self.fetches = 0
        self.body: bytes | None = None
        self.status = 200
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetches += 1
                public = {"keys": [key.as_dict(private=False) for key in provider.keys]}
                body = provider.body or json.dumps(public).encode()
                self.send_response(provider.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/"

    def settings(self, **more: Any) -> IssuerSettings:
        return IssuerSettings(issuer=self.issuer, jwks_url=self.issuer + "keys", audience="esb", **more)

    def token(self, key: Key = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> str:
        said = {"iss": self.issuer, "aud": "esb", "sub": "u1", "tenant": "acme", "roles": ["reader"]}
        said |= {"exp": time.time() + 60, **claims}
        whole = {"alg": alg, **({"kid": key.kid} if key.kid else {}), **(header or {})}
        return jws.serialize_compact(whole, json.dumps(said), key, [alg])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    made = IdentityProvider()
    yield made
    made.close()


@pytest.fixture
async def remote(provider: IdentityProvider) -> AsyncIterator[Authenticator]:
    made = Authenticator(signing_key=SECRET, roles=ROLES, issuers=[provider.settings()])
    yield made
    await made.close()


def local(clock: Clock | None = None, **more: Any) -> Authenticator:
    return Authenticator(signing_key=SECRET, roles=ROLES, clock=clock or time.time, **more)


async def refused(authenticator: Authenticator, token: str) -> EsbError:
    with pytest.raises(EsbError) as caught:
        await authenticator.principal(token)
    return caught.value


async def assert_unauthenticated(authenticator: Authenticator, token: str, why: str = "") -> None:
    error = await refused(authenticator, token)
    assert error.code is ErrorCode.UNAUTHENTICATED
    assert why in error.message


async def test_a_local_token_says_who_its_bearer_is() -> None:
    clock = Clock()
    token = TokenIssuer(SECRET, ROLES, clock).issue("acme", ["reader"], 60, subject="ann", client="crm")
    principal = await local(clock).principal(token)
    assert (principal.tenant, principal.subject, principal.client) == ("acme", "ann", "crm")
    assert principal.may(Action.READ, "orders")
    assert not principal.may(Action.PUBLISH)
    assert principal.expires_at == clock.now + 60


async def test_an_expired_token_is_refused_at_once_also_from_the_cache() -> None:
    clock = Clock()
    authenticator = local(clock)
    token = TokenIssuer(SECRET, ROLES, clock).issue("acme", ["reader"], 1)
    await authenticator.principal(token)
    clock.now += 0.99
    await authenticator.principal(token)
    clock.now += 0.01
    await assert_unauthenticated(authenticator, token, "expired")
    await assert_unauthenticated(local(clock), token, "expired")


async def test_own_roles_are_held_to_their_streams() -> None:
    principal = await local().principal(TokenIssuer(SECRET, ROLES).issue("acme", ["orders"], 60))
    assert principal.may(Action.READ, "orders-archive")
    assert not principal.may(Action.READ, "users")
    assert not principal.may(Action.PUBLISH, "orders-archive")


def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    parts = ({"alg": alg, "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."


LOCAL_CLAIMS = {"iss": LOCAL_ISSUER, "aud": LOCAL_ISSUER, "tenant": "acme", "roles": ["admin"], "exp": 4e9}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "forged.token.here",
        "..",
        "a.b.c",
        "e30.e30.e30",
        "ü.ü.ü",
        "x" * 9000,
        "W10.W10.W10",
        unsigned(LOCAL_CLAIMS),
        unsigned(LOCAL_CLAIMS, "None"),
        unsigned(LOCAL_CLAIMS, "HS256"),
        unsigned(LOCAL_CLAIMS, "RS256"),
        unsigned({"iss": ["a"]}, "HS256"),
        base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
        + "."
        + base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
        + ".x",
    ],
)
async def test_what_is_no_signed_token_opens_nothing(token: str) -> None:
    await assert_unauthenticated(local(), token)


async def test_a_changed_token_opens_nothing() -> None:
    head, body, signature = TokenIssuer(SECRET, ROLES).issue("acme", ["reader"], 60).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    more = base64.urlsafe_b64encode(json.dumps(claims | {"roles": ["admin"]}).encode()).decode().rstrip("=")
    await assert_unauthenticated(local(), f"{head}.{more}.{signature}", "signature")
    await assert_unauthenticated(local(), f"{head}.{body}.{signature[:-4]}AAAA", "signature")


async def test_another_installations_token_opens_nothing() -> None:
    await assert_unauthenticated(local(), TokenIssuer(b"o" * 32, ROLES).issue("acme", ["admin"], 60), "signature")


async def test_local_tokens_can_be_switched_off() -> None:
    authenticator = Authenticator(signing_key=None, roles=ROLES)
    await assert_unauthenticated(authenticator, TokenIssuer(SECRET, ROLES).issue("acme", ["admin"], 60), "issuer")


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": None}, "expiry"),
        ({"exp": "soon"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"nbf": 3_900_000_000}, "nbf"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "audience"),
        ({"tenant": None}, "tenant"),
        ({"tenant": "UPPER"}, "tenant"),
        ({"tenant": "a" * 65}, "tenant"),
        ({"tenant": "acme\n"}, "tenant"),
        ({"sub": 7}, "sub"),
        ({"sub": "a\x00b"}, "sub"),
        ({"sub": "x" * 257}, "sub"),
    ],
)
async def test_a_claim_that_is_wrong_is_named(claims: dict[str, Any], why: str) -> None:
    said = {k: v for k, v in (LOCAL_CLAIMS | {"sub": "u"} | claims).items() if v is not None}
    token = jws.serialize_compact({"alg": "HS256"}, json.dumps(said), OctKey.import_key(SECRET), ["HS256"])
    await assert_unauthenticated(local(), token, why)


async def test_an_issuers_tokens_are_verified_with_its_published_keys(
    remote: Authenticator, provider: IdentityProvider
) -> None:
    for token in (provider.token(), provider.token(EC, "ES256")):
        principal = await remote.principal(token)
        assert (principal.tenant, principal.subject) == ("acme", "u1")
    assert provider.fetches == 1


async def test_an_unknown_key_id_fetches_again_but_not_at_will(
    remote: Authenticator, provider: IdentityProvider
) -> None:
    await remote.principal(provider.token())
    for _ in range(20):
        await assert_unauthenticated(remote, provider.token(header={"kid": "invented"}), "key")
    assert provider.fetches == 1


async def test_rotation_is_noticed_and_withdrawn_keys_stop_opening(provider: IdentityProvider) -> None:
    authenticator = Authenticator(signing_key=None, roles=ROLES, issuers=[provider.settings()])
    clock = Clock()
    authenticator._issuers[provider.issuer].keys._clock = clock  # type: ignore[attr-defined]
    old = provider.token()
    await authenticator.principal(old)
    new = RSAKey.generate_key(2048, {"kid": "rsa-2"})
    provider.keys = [new]
    clock.now += 11
    await authenticator.principal(provider.token(new))
    await assert_unauthenticated(authenticator, old, "key")
    await authenticator.close()


async def test_a_provider_that_is_away_is_said_to_be_away_and_its_known_keys_stay_in_use(
    provider: IdentityProvider,
) -> None:
    authenticator = Authenticator(signing_key=None, roles=ROLES, issuers=[provider.settings()])
    clock = Clock()
    authenticator._issuers[provider.issuer].keys._clock = clock  # type: ignore[attr-defined]
    provider.status = 500
    for _ in range(5):
        assert (await refused(authenticator, provider.token())).code is ErrorCode.TIMEOUT
    assert provider.fetches == 1
    provider.status, clock.now = 200, clock.now + 3
    await authenticator.principal(provider.token())
    provider.status, clock.now = 500, clock.now + 700
    await authenticator.principal(provider.token(sub="u2"))
    await authenticator.close()


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"keys":[{"kty":"oct","k":"c3Nzc3Nzc3M"}]}', b"x" * 600_000])
async def test_a_key_set_that_is_no_key_set_opens_nothing(provider: IdentityProvider, body: bytes) -> None:
    authenticator = Authenticator(signing_key=None, roles=ROLES, issuers=[provider.settings()])
    provider.body = body
    assert (await refused(authenticator, provider.token())).code in (ErrorCode.TIMEOUT, ErrorCode.UNAUTHENTICATED)
    await authenticator.close()


async def test_a_public_key_is_never_taken_for_a_shared_secret(
    remote: Authenticator, provider: IdentityProvider
) -> None:
    confused = OctKey.import_key(base64.urlsafe_b64encode(RSA.as_pem(private=False)))
    await assert_unauthenticated(remote, provider.token(confused, "HS256", {"kid": "rsa-1"}), "algorithm")


async def test_the_algorithm_must_be_the_keys(remote: Authenticator, provider: IdentityProvider) -> None:
    await assert_unauthenticated(remote, provider.token(EC, "ES256", {"kid": "rsa-1"}), "signature")


async def test_an_issuer_speaks_only_for_itself_and_its_tenants(provider: IdentityProvider) -> None:
    authenticator = Authenticator(
        signing_key=SECRET, roles=ROLES, issuers=[provider.settings(tenants=("acme", "acme-*"))]
    )
    assert (await authenticator.principal(provider.token(tenant="acme-2"))).tenant == "acme-2"
    await assert_unauthenticated(authenticator, provider.token(tenant="other"), "tenant")
    await assert_unauthenticated(authenticator, provider.token(iss=LOCAL_ISSUER), "algorithm")
    await authenticator.close()


async def test_claim_names_are_the_issuers(provider: IdentityProvider) -> None:
    names = {"tenant": "https://esb.example/tenant", "roles": "realm.roles", "client": "azp"}
    authenticator = Authenticator(signing_key=None, roles=ROLES, issuers=[provider.settings(claims=names)])
    token = provider.token(
        **{"https://esb.example/tenant": "t9", "realm": {"roles": ["publisher", "unknown"]}, "azp": "shop"}
    )
    principal = await authenticator.principal(token)
    assert (principal.tenant, principal.client) == ("t9", "shop")
    assert principal.may(Action.PUBLISH)
    assert not principal.may(Action.READ)
    await authenticator.close()


async def test_roles_may_be_words_in_one_text(remote: Authenticator, provider: IdentityProvider) -> None:
    principal = await remote.principal(provider.token(roles="reader publisher"))
    assert principal.may(Action.READ)
    assert principal.may(Action.PUBLISH)


async def test_the_cache_is_bounded() -> None:
    authenticator = local(cache_entries=3)
    issuer = TokenIssuer(SECRET, ROLES)
    for _ in range(10):
        await authenticator.principal(issuer.issue("acme", ["reader"], 60))
    assert len(authenticator._cache._principals) == 3


@pytest.mark.parametrize(
    ("tenant", "roles", "ttl"),
    [("Not A Tenant", ["admin"], 60), ("a", ["king"], 60), ("a", [], 60), ("a", ["admin"], 0), ("a", ["admin"], 1e12)],
)
def test_a_token_that_cannot_be_is_not_made(tenant: str, roles: list[str], ttl: float) -> None:
    with pytest.raises(EsbError) as caught:
        TokenIssuer(SECRET, ROLES).issue(tenant, roles, ttl)
    assert caught.value.code is ErrorCode.BAD_INPUT
