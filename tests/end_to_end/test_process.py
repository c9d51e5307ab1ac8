"""The gateway as a process: what an operator's tools see of its life."""

from collections.abc import Callable

import httpx
import pytest

from tests.services.gateway import GatewayProcess

CREATE = 'mutation{createStream(stream:{streamName:"orders",eventPatterns:["order.**"]}){streamName}}'
STREAMS = "{streams{nodes{streamName}}}"


def ask(gateway: GatewayProcess, token: str, query: str) -> dict[str, object]:
    answer = httpx.post(
        f"{gateway.url}/graphql", json={"query": query}, headers={"authorization": f"Bearer {token}"}, timeout=30
    )
    body: dict[str, object] = answer.json()
    assert "errors" not in body, body
    return body


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_made_is_there_after_the_next_start(own_gateway: Callable[..., GatewayProcess], end: str) -> None:
    gateway = own_gateway()
    gateway.start()
    token = gateway.token(f"t_{end}")
    ask(gateway, token, CREATE)
    getattr(gateway, end)()
    gateway.start()
    assert ask(gateway, token, STREAMS)["data"] == {"streams": {"nodes": [{"streamName": "orders"}]}}


def test_a_stopped_gateway_leaves_no_process_behind(own_gateway: Callable[..., GatewayProcess]) -> None:
    gateway = own_gateway()
    gateway.start()
    gateway.stop()
    assert not list(gateway.data_dir.rglob("postmaster.pid"))
