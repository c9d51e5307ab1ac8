"""Replays as users meet them: `esb replay`, GraphQL, and a subscription that sees one through."""

import json
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.end_to_end.api import Api
from tests.end_to_end.shell import Shell

START = "mutation($r:ReplayInput!){startReplay(replay:$r){id status done total stream speed error}}"
PAST: dict[str, Any] = {"streams": ["user-events"], "from": {"beginning": True}, "target": {"stream": "copy"}}


@pytest.fixture
def filled(api: Api) -> Api:
    api.create_stream("copy", "copied.**")
    for n in range(30):
        api.publish(payload={"n": n}, aggregate_type="User", aggregate_id=f"u{n % 2}")
    return api


def copies(api: Api) -> list[Any]:
    return [event["payload"]["n"] for event in api.events() if event["stream"] == "copy"]


def followed(api: Api, replay_id: str) -> list[dict[str, Any]]:
    """What a subscription says until it completes."""
    address = f"{api.gateway.websocket_url}/graphql"
    with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        hello = {"authorization": f"Bearer {api.token}", "cursors": True, "progress": True}
        socket.send(json.dumps({"type": "connection_init", "payload": hello}))
        query = "subscription($i:ID!){replay(id:$i){id status done}}"
        asked = {"query": query, "variables": {"i": replay_id}}
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": asked}))
        said = []
        while (message := json.loads(socket.recv(timeout=30)))["type"] != "complete":
            if message["type"] == "next":
                assert "extensions" not in message["payload"]
                said.append(message["payload"]["data"]["replay"])
            else:
                assert message["type"] in ("connection_ack", "ping"), message
        return said


def test_the_command_line_sees_a_replay_through(filled: Api, shell: Shell) -> None:
    done = shell("replay", "start", "--to", "copy", "--stream", "user-events", "-e", "event.payload.n < 20")
    assert "20/20" in done.err
    assert copies(filled) == list(range(20))
    *_, last = shell("replay", "start", "--to", "copy", "--aggregate", "u1", "--stream", "user-events", "--json").lines
    assert (last["status"], last["done"], last["total"], last["stream"]) == ("DONE", 15, 15, "copy")
    newest, first = shell("replay", "list", "--json").lines
    assert (newest["id"], first["done"]) == (last["id"], 20)
    assert "15 of 15" in shell("replay", "list").out


def test_the_command_line_pauses_resumes_and_cancels(filled: Api, shell: Shell) -> None:
    (made,) = shell("replay", "start", "--to", "copy", "--speed", "0.000001", "--detach", "--json").lines
    for command, status in (("pause", "PAUSED"), ("resume", "RUNNING"), ("cancel", "CANCELLED")):
        (changed,) = shell("replay", command, made["id"], "--json").lines
        assert changed["status"] == status
    refused = shell.run("replay", "resume", made["id"])
    assert (refused.code, refused.err.split(":")[0]) == (1, "BAD_INPUT")
    assert shell.run("replay", "watch", made["id"]).code == 1
    assert shell.run("replay", "start", "--to", "nowhere").err.startswith("UNKNOWN_STREAM")


def test_a_subscription_sees_it_through_and_completes(filled: Api) -> None:
    made = filled.graphql(START, r=PAST)["startReplay"]
    said = followed(filled, made["id"])
    assert said[-1] == {"id": made["id"], "status": "DONE", "done": 30}
    assert [each["done"] for each in said] == sorted(each["done"] for each in said)
    assert copies(filled) == list(range(30))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"from": {"live": True}}, "BAD_INPUT"),
        ({"from": {"beginning": False}}, "BAD_INPUT"),
        ({"target": {}}, "BAD_INPUT"),
        ({"target": {"stream": None}}, "BAD_INPUT"),
        ({"target": {"stream": "user-events"}}, "BAD_INPUT"),
        ({"where": {"expression": "event.("}}, "BAD_INPUT"),
        ({"from": {"cursor": "x"}}, "CURSOR_INVALID"),
    ],
)
def test_what_cannot_be_replayed_is_said(filled: Api, said: dict[str, Any], code: str) -> None:
    answer = filled.http.post("/graphql", json={"query": START, "variables": {"r": PAST | said}})
    assert answer.json()["errors"][0]["extensions"]["code"] == code


@pytest.mark.needs("kafka_servers")
def test_a_kafka_stream_is_replayed_into_the_ledger(api: Api) -> None:
    api.graphql("mutation($s:StreamInput!){createStream(stream:$s){id}}", s={"streamName": "clicks", "engine": "KAFKA"})
    api.create_stream("copy", "copied.**")
    for n in range(20):
        api.publish("click.made", {"n": n}, stream="clicks", aggregate_type="User", aggregate_id=f"u{n % 5}")
    made = api.graphql(START, r=PAST | {"streams": ["clicks"]})["startReplay"]
    assert followed(api, made["id"])[-1]["done"] == 20
    assert sorted(copies(api)) == list(range(20))
    refused = api.http.post(
        "/graphql", json={"query": START, "variables": {"r": PAST | {"target": {"stream": "clicks"}}}}
    )
    assert refused.json()["errors"][0]["extensions"]["code"] == "UNSUPPORTED_BY_ENGINE"
