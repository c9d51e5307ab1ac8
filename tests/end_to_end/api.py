"""A tenant's own way into a running gateway over HTTP, with a token of the installation's key."""

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx

from gateway.auth.token_issuer import TokenIssuer
from gateway.cli.access import token_issuer
from gateway.settings import Settings
from tests.services.gateway import GatewayProcess

_numbers = count(1)
_issuers: dict[GatewayProcess, TokenIssuer] = {}

EVENTS = """query($after: String, $first: Int = 1000) { events(first: $first, after: $after) {
  nodes { eventId eventType stream position payload } pageInfo { hasNextPage endCursor } } }"""


def new_tenant(name: str = "e2e") -> str:
    return f"{name}_{next(_numbers)}"


def issue(gateway: GatewayProcess, tenant: str, role: str = "admin", ttl_s: float = 3600) -> str:
    """A token as `esb token` makes it, without a process for each."""
    if gateway not in _issuers:
        _issuers[gateway] = asyncio.run(_issuer(gateway))
    return _issuers[gateway].issue(tenant, [role], ttl_s)


async def _issuer(gateway: GatewayProcess) -> TokenIssuer:
    settings = Settings(data_dir=gateway.data_dir, postgres_url=gateway.environment.get("ESB_POSTGRES_URL"))
    async with token_issuer(settings, only_running=True) as issuer:
        return issuer


class Api:
    """HTTP as `role` of a tenant."""

    def __init__(self, gateway: GatewayProcess, tenant: str, role: str = "admin") -> None:
        self.gateway = gateway
        self.tenant = tenant
        self.token = issue(gateway, tenant, role)
        self.http = httpx.Client(
            base_url=gateway.url, headers={"authorization": f"Bearer {self.token}"}, timeout=60, trust_env=False
        )

    def close(self) -> None:
        self.http.close()

    def post(self, path: str, document: Any, **headers: str) -> httpx.Response:
        """Any document, a lone surrogate among them, as ASCII JSON."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.http.post(path, content=content, headers={"content-type": "application/json", **headers})

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """The `data` of an operation that must not fail."""
        answer = self.http.post("/graphql", json={"query": query, "variables": variables})
        body: dict[str, Any] = answer.json()
        assert "errors" not in body, body
        return dict(body["data"])

    def create_stream(self, name: str = "user-events", *patterns: str) -> dict[str, Any]:
        body = {"stream_name": name, "event_patterns": patterns or ["user.**"]}
        answer = self.http.post("/api/v1/streams", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def publish(self, event_type: str = "user.seen", payload: Any = None, **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/api/v1/events", json={"event_type": event_type, "payload": payload, **fields})
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def events(self) -> list[dict[str, Any]]:
        """Everything the tenant has, in log order."""
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.graphql(EVENTS, after=after)["events"]
            found += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]


def administrator(gateway: GatewayProcess) -> Iterator[Api]:
    """For fixtures: the administrator of a new tenant with the stream `user-events` for `user.**`."""
    made = Api(gateway, new_tenant())
    try:
        made.create_stream()
        yield made
    finally:
        made.close()
