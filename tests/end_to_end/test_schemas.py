"""Schemas as a user meets them: registered, enforced, warned about, and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.end_to_end.api import Api
from tests.services.gateway import GatewayProcess

REGISTER = "mutation($s: SchemaInput!) { registerSchema(schema: $s) { id eventType version personalPaths } }"
CHECK = "mutation($s: SchemaInput!) { checkSchema(schema: $s) { compatible problems { againstVersion path rule } } }"
PUBLISH = "mutation($e: EventInput!) { publishEvent(event: $e) { eventId duplicate } }"
CREATE = "mutation($s: StreamInput!) { createStream(stream: $s) { schemaEnforcement } }"
UPCAST = "mutation($u: UpcasterInput!) { registerUpcaster(upcaster: $u) { version } }"
ORDER = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
PROTO = 'syntax = "proto3"; package shop; message Order { int64 total = 1; repeated string items = 2; }'
AVRO = {"type": "record", "name": "Order", "fields": [{"name": "total", "type": "long"}]}


def refused(api: Api, query: str, **variables: Any) -> dict[str, Any]:
    body = api.http.post("/graphql", json={"query": query, "variables": variables}).json()
    assert body.get("errors"), body
    return dict(body["errors"][0]["extensions"])


def schema(definition: Any, version: str = "1.0", event_type: str = "order.placed", **more: Any) -> dict[str, Any]:
    text = definition if isinstance(definition, str) else json.dumps(definition)
    return {"eventType": event_type, "version": version, "definition": text, **more}


def event(payload: Any, event_type: str = "order.placed", **more: Any) -> dict[str, Any]:
    return {"eventType": event_type, "payload": payload, **more}


@pytest.fixture
def enforcing(api: Api) -> Api:
    stream = {"streamName": "orders", "eventPatterns": ["order.**"], "schemaEnforcement": "ENFORCE"}
    assert api.graphql(CREATE, s=stream)["createStream"]["schemaEnforcement"] == "ENFORCE"
    return api


@pytest.mark.parametrize(
    ("format", "definition"),
    [("JSON_SCHEMA", ORDER), ("AVRO", AVRO), ("PROTOBUF", PROTO)],
    ids=["json", "avro", "proto"],
)
def test_enforced_payloads_are_held_against_their_schema(enforcing: Api, format: str, definition: Any) -> None:
    enforcing.graphql(REGISTER, s=schema(definition, format=format))
    made = enforcing.graphql(PUBLISH, e=event({"total": 5}))["publishEvent"]["eventId"]
    found = enforcing.graphql("query($i: ID!) { event(eventId: $i) { schemaVersion } }", i=made)["event"]
    assert found["schemaVersion"] == "1.0", "the version it was held against is written into the event"
    extensions = refused(enforcing, PUBLISH, e=event({"total": "many"}))
    assert extensions["code"] == "SCHEMA_VIOLATION"
    assert [problem["path"] for problem in extensions["details"]["problems"]] == ["total"]
    assert refused(enforcing, PUBLISH, e=event({"total": 5}, schemaVersion="9"))["code"] == "SCHEMA_VIOLATION"
    assert refused(enforcing, PUBLISH, e=event({}, "order.unknown"))["code"] == "SCHEMA_VIOLATION"
    answer = enforcing.post("/api/v1/events", {"event_type": "order.placed", "payload": {"total": None}})
    assert answer.status_code == 422 or format == "PROTOBUF", answer.text  # null is what is left out, in ProtoJSON


def test_an_event_says_which_version_it_was_written_in(enforcing: Api) -> None:
    enforcing.graphql(REGISTER, s=schema(ORDER))
    wider = {**ORDER, "properties": {"total": {"type": ["integer", "string"]}}}
    enforcing.graphql(REGISTER, s=schema(wider, "2.0"))
    enforcing.graphql(PUBLISH, e=event({"total": "five"}))
    enforcing.graphql(PUBLISH, e=event({"total": "five"}, schemaVersion="2.0"))
    assert refused(enforcing, PUBLISH, e=event({"total": "five"}, schemaVersion="1.0"))["code"] == "SCHEMA_VIOLATION"


def test_one_bad_event_of_a_batch_is_its_own_rejection(enforcing: Api) -> None:
    enforcing.graphql(REGISTER, s=schema(ORDER))
    batch = """mutation($e: [EventInput!]!) { publishEvents(events: $e, atomic: false) {
      receipts { index } rejections { index code } } }"""
    report = enforcing.graphql(batch, e=[event({"total": n}) for n in (1, "two", 3)])["publishEvents"]
    assert [receipt["index"] for receipt in report["receipts"]] == [0, 2]
    assert report["rejections"] == [{"index": 1, "code": "SCHEMA_VIOLATION"}]


def test_warned_payloads_are_taken_and_counted(api: Api) -> None:
    def warned() -> float:
        lines = httpx.get(f"{api.gateway.url}/metrics", trust_env=False).text.splitlines()
        name = 'esb_schema_violations_total{enforcement="warn"}'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    api.graphql(CREATE, s={"streamName": "notes", "eventPatterns": ["note.**"], "schemaEnforcement": "WARN"})
    api.graphql(REGISTER, s=schema(ORDER, event_type="note.kept"))
    before = warned()
    for payload in ({"total": 1}, {"total": "x"}):
        api.graphql(PUBLISH, e=event(payload, "note.kept"))
    api.graphql(PUBLISH, e=event({}, "note.unknown"))
    assert warned() == before + 2
    api.http.patch(f"/api/v1/streams/{stream_id(api, 'notes')}", json={"schema_enforcement": "enforce"})
    assert refused(api, PUBLISH, e=event({"total": "x"}, "note.kept"))["code"] == "SCHEMA_VIOLATION"


def stream_id(api: Api, name: str) -> str:
    found: str = api.graphql("query($n: String!) { stream(name: $n) { streamId } }", n=name)["stream"]["streamId"]
    return found


def test_versions_owe_what_the_level_says(api: Api) -> None:
    first = api.graphql(REGISTER, s=schema(ORDER))["registerSchema"]
    assert api.graphql(REGISTER, s=schema(ORDER))["registerSchema"] == first, "said again, it is the one there is"
    assert refused(api, REGISTER, s=schema(True))["code"] == "ALREADY_EXISTS"
    stricter = {**ORDER, "required": ["total", "customer"]}
    report = api.graphql(CHECK, s=schema(stricter, "2.0"))["checkSchema"]
    problem = {"againstVersion": "1.0", "path": "customer", "rule": "REQUIRED_ATTRIBUTE_ADDED"}
    assert report == {"compatible": False, "problems": [problem]}
    extensions = refused(api, REGISTER, s=schema(stricter, "2.0"))
    assert extensions["code"] == "SCHEMA_VIOLATION"
    assert extensions["details"]["problems"][0]["path"] == "customer"
    assert api.graphql("mutation { setDefaultCompatibility(level: NONE) }") == {"setDefaultCompatibility": "NONE"}
    api.graphql(REGISTER, s=schema(stricter, "2.0"))
    set_level = 'mutation { setCompatibility(eventType: "order.placed", level: FULL) { version compatibility } }'
    assert api.graphql(set_level)["setCompatibility"] == {"version": "2.0", "compatibility": "FULL"}
    missing = 'mutation { setCompatibility(eventType: "order.gone", level: FULL) { version } }'
    assert refused(api, missing)["code"] == "NOT_FOUND"


def test_versions_are_listed_by_the_page_and_found_by_id(api: Api) -> None:
    made = [
        api.graphql(REGISTER, s=schema(True, f"{number}.0", f"a.b{kind}"))["registerSchema"]["id"]
        for kind in range(2)
        for number in range(1, 4)
    ]
    seen, after = [], None
    page = "query($a: String) { schemas(first: 2, after: $a) { nodes { id } pageInfo { hasNextPage endCursor } } }"
    while True:
        found = api.graphql(page, a=after)["schemas"]
        seen += [node["id"] for node in found["nodes"]]
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert seen == made
    node = api.graphql("query($i: ID!) { node(id: $i) { ... on SchemaVersion { version } } }", i=made[1])["node"]
    assert node == {"version": "2.0"}
    assert api.graphql('{ schema(eventType: "a.b0") { version } }')["schema"] == {"version": "3.0"}
    assert api.graphql('{ schemas(eventType: "a.b1") { nodes { version } } }')["schemas"]["nodes"][0] == {
        "version": "1.0"
    }
    other = Api(api.gateway, f"{api.tenant}_other")
    assert other.graphql("{ schemas { nodes { version } } }")["schemas"]["nodes"] == []
    assert other.graphql("query($i: ID!) { node(id: $i) { id } }", i=made[1])["node"] is None
    other.close()


def test_upcasters_lead_forward(api: Api) -> None:
    for number in (1, 2):
        api.graphql(REGISTER, s=schema(True, f"{number}.0"))
    steps = [{"set": {"path": "note", "expression": "event.payload.first + '!'"}}]
    forward = {"eventType": "order.placed", "fromVersion": "1.0", "toVersion": "2.0", "operations": steps}
    assert api.graphql(UPCAST, u=forward)["registerUpcaster"] == {"version": "2.0"}
    assert api.graphql(UPCAST, u=forward)["registerUpcaster"] == {"version": "2.0"}
    backward = {**forward, "fromVersion": "2.0", "toVersion": "1.0"}
    assert refused(api, UPCAST, u=backward)["code"] == "BAD_INPUT"
    assert refused(api, UPCAST, u={**forward, "toVersion": "1.0"})["code"] == "BAD_INPUT"
    assert refused(api, UPCAST, u={**forward, "toVersion": "9.0"})["code"] == "NOT_FOUND"
    assert refused(api, UPCAST, u={**forward, "operations": [{"drop": True}]})["code"] == "BAD_INPUT"


@pytest.mark.parametrize(
    "said",
    [
        schema('{"$ref": "http://example.invalid/x.json"}'),
        schema(True, event_type="not a type"),
        schema(True, version=""),
        schema('import "/etc/passwd";', format="PROTOBUF"),
        schema('syntax = "proto3"; import "../../x.proto"; message A {}', format="PROTOBUF"),
        schema('syntax = "proto3"; enum E { A = 0; }', format="PROTOBUF"),
        schema("AAAA", format="PROTOBUF"),
    ],
)
def test_bad_schemas_are_bad_input(api: Api, said: dict[str, Any]) -> None:
    assert refused(api, REGISTER, s=said)["code"] == "BAD_INPUT"
    assert api.graphql("{ schemas { nodes { id } } }")["schemas"]["nodes"] == []


def test_readers_look_and_do_not_register(api: Api) -> None:
    api.graphql(REGISTER, s=schema(ORDER))
    reader = Api(api.gateway, api.tenant, "reader")
    assert len(reader.graphql("{ schemas { nodes { id } } }")["schemas"]["nodes"]) == 1
    assert refused(reader, REGISTER, s=schema(True, "2.0"))["code"] == "FORBIDDEN"
    assert refused(reader, "mutation { setDefaultCompatibility(level: NONE) }")["code"] == "FORBIDDEN"
    reader.close()


def test_what_is_registered_outlives_the_process(own_gateway: Callable[..., GatewayProcess]) -> None:
    process = own_gateway()
    process.start()
    before = Api(process, "kept")
    before.graphql(CREATE, s={"streamName": "orders", "eventPatterns": ["order.**"], "schemaEnforcement": "ENFORCE"})
    before.graphql(REGISTER, s=schema(PROTO, format="PROTOBUF"))
    before.close()
    process.kill()
    process.start()
    after = Api(process, "kept")
    after.graphql(PUBLISH, e=event({"total": "12"}))
    assert refused(after, PUBLISH, e=event({"total": "x"}))["code"] == "SCHEMA_VIOLATION"
    after.close()
