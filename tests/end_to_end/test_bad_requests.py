"""What stands around an event: bodies, headers, tokens, methods, paths. Each refusal is JSON of its media type."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.end_to_end.api import Api, administrator, issue
from tests.end_to_end.refusals import STATUS, graphql_error, problem
from tests.services.gateway import GatewayProcess

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

EVENT = b'{"event_type":"user.x","payload":1}'
REST_POSTS = ["events", "events/batch", "streams", "routes", "routes/explain"]
QUERY = b'{"query":"{__typename}"}'
GRAPHQL_JSON = "application/graphql-response+json"


@pytest.fixture(scope="module")
def api(gateway: GatewayProcess) -> Iterator[Api]:
    """One tenant for all: nothing here changes anything."""
    yield from administrator(gateway)


NO_JSON = [b"", b"{", b"\xff\xfe", b"{'a':1}", b"[" * 50_000, b'{"a":"\\ud83d"}', b'{"a":1}}']
NO_OBJECT = [b"[]", b"null", b"1", b'"x"', b"true"]


@pytest.mark.parametrize("path", REST_POSTS)
def test_a_body_that_is_no_object(api: Api, path: str) -> None:
    for body in (*NO_JSON, *NO_OBJECT, b"{}", b'{"nonsense":1}'):
        assert problem(api.post(f"/api/v1/{path}", body)) == "BAD_INPUT", body


@pytest.mark.parametrize("path", [*(f"/api/v1/{path}" for path in REST_POSTS), "/graphql"])
@pytest.mark.parametrize(
    "headers",
    [{"content-type": "text/plain"}, {"content-type": ""}, {"content-encoding": "gzip"}, {"content-type": "x/json"}],
    ids=str,
)
def test_a_body_of_another_kind(api: Api, path: str, headers: dict[str, str]) -> None:
    answer = api.post(path, EVENT, **headers)
    assert answer.status_code == 415
    assert (graphql_error(answer) if path == "/graphql" else problem(answer, 415)) == "BAD_INPUT"


def test_a_body_that_is_too_long(api: Api) -> None:
    much = b'{"event_type":"' + b"x" * 10_000_000 + b'"}'
    for path in REST_POSTS:
        assert problem(api.post(f"/api/v1/{path}", much)) == "PAYLOAD_TOO_LARGE"
    assert graphql_error(api.post("/graphql", much)) == "PAYLOAD_TOO_LARGE"

    def chunks() -> Any:
        for _ in range(300):
            yield b" " * 65_536

    unannounced = api.http.post("/api/v1/events", content=chunks(), headers={"content-type": "application/json"})
    assert problem(unannounced) == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "events", "POST"),
        ("DELETE", "events", "POST"),
        ("POST", "events/evt_x", "GET"),
        ("PUT", "tickets", "POST"),
    ],
)
def test_a_method_that_is_not_there(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.http.request(method, f"/api/v1/{path}")
    assert problem(answer, 405) == "BAD_INPUT"
    assert allowed in answer.headers["allow"]


def test_graphql_knows_four_methods(api: Api) -> None:
    answer = api.http.patch("/graphql", content=QUERY)
    assert (answer.status_code, graphql_error(answer)) == (405, "BAD_INPUT")
    assert answer.headers["allow"] == "GET, POST, PUT, DELETE"
    assert graphql_error(api.http.delete("/graphql")) == "NOT_FOUND"
    mutation = api.http.get("/graphql", params={"query": 'mutation{deleteRoute(id:"x"){route{name}}}'})
    assert (mutation.status_code, graphql_error(mutation)) == (405, "BAD_INPUT")


@pytest.mark.parametrize(
    "path", ["/nope", "/api/v1", "/api/v1/nope", "/api/v1/events/", "/api/v1/streams/..%2f", "//x"]
)
def test_a_path_that_is_not_there(api: Api, path: str) -> None:
    answer = api.http.get(api.gateway.url + path, headers={"host": "elsewhere.example"})
    assert problem(answer) == "NOT_FOUND"
    assert "elsewhere" not in str(answer.headers), "the Host header is anybody's"


TOKENS = [
    None,
    "",
    "Bearer",
    "Basic YTpi",
    "Bearer x",
    "Bearer a.b.c",
    "Bearer a b",
    "Bearer " + "x" * 9000,
    "Bearer ÿ",
]


@pytest.mark.parametrize("said", TOKENS, ids=lambda said: str(said)[:12])
def test_a_token_that_is_none(gateway: GatewayProcess, said: str | None) -> None:
    headers = {} if said is None else {b"authorization": said.encode("latin-1")}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False) as http:
        for answer in (http.get("/api/v1/streams"), http.post("/api/v1/events", content=EVENT)):
            assert problem(answer) == "UNAUTHENTICATED"
            assert answer.headers["www-authenticate"] == "Bearer"
        for answer in (http.post("/graphql", content=QUERY), http.get("/graphql?query={__typename}")):
            assert (answer.status_code, graphql_error(answer)) == (401, "UNAUTHENTICATED")


def test_a_token_that_was_changed_or_has_expired(api: Api, gateway: GatewayProcess) -> None:
    head, claims, signature = api.token.split(".")
    nobody = ".".join(("eyJhbGciOiJub25lIn0", claims, ""))
    expired = issue(gateway, api.tenant, ttl_s=0.001)
    for token in (f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims[:-2]}.{signature}", nobody, expired):
        answer = httpx.get(f"{gateway.url}/api/v1/streams", headers={"authorization": f"Bearer {token}"})
        assert problem(answer) == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("role", "method", "path", "body"),
    [
        ("reader", "POST", "/api/v1/events", EVENT),
        ("reader", "POST", "/api/v1/streams", b'{"stream_name":"b-events"}'),
        ("publisher", "POST", "/api/v1/streams", b'{"stream_name":"b-events"}'),
        ("publisher", "POST", "/api/v1/routes", b'{"name":"r","where":{},"stream":"user-events"}'),
    ],
)
def test_what_a_role_may_not(api: Api, role: str, method: str, path: str, body: bytes) -> None:
    other = Api(api.gateway, api.tenant, role)
    try:
        assert problem(other.post(path, body)) == "FORBIDDEN"
    finally:
        other.close()


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", ""])
def test_a_request_id_that_is_not_sane_is_replaced(api: Api, given: str) -> None:
    answer = api.http.get("/api/v1/streams", headers={"x-request-id": given})
    assert (answer.status_code, answer.headers["x-request-id"] == given) == (200, False)


GRAPHQL: list[tuple[dict[str, Any] | bytes, str, bool]] = [
    *((body, "BAD_INPUT", True) for body in (*NO_JSON, *NO_OBJECT, b"{}", b'[{"query":"{__typename}"}]')),
    ({"query": 1}, "BAD_INPUT", True),
    ({"query": "{__typename}", "variables": []}, "BAD_INPUT", True),
    ({"query": "{__typename}", "variables": "x"}, "BAD_INPUT", True),
    ({"query": "{__typename}", "operationName": 5}, "BAD_INPUT", True),
    ({"query": "{__typename}", "extensions": 5}, "BAD_INPUT", True),
    ({"query": "{__typename}", "extensions": {"resume": 5}}, "BAD_INPUT", True),
    ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "x"}}}, "PERSISTED_QUERY_NOT_FOUND", False),
    ({"documentId": "x"}, "PERSISTED_QUERY_NOT_FOUND", False),
    ({"documentId": "x", "query": "{__typename}"}, "BAD_INPUT", False),
    ({"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "x"}}}, "BAD_INPUT", False),
    ({"query": "{__typename}", "extensions": {"persistedQuery": {"sha256Hash": "x"}}}, "BAD_INPUT", False),
    ({"query": ""}, "BAD_INPUT", False),
    ({"query": "{"}, "BAD_INPUT", False),
    ({"query": "\x00"}, "BAD_INPUT", False),
    ({"query": "{nope}"}, "BAD_INPUT", False),
    ({"query": "{...X} fragment X on Query{...X}"}, "BAD_INPUT", False),
    ({"query": "query A{__typename} query B{__typename}"}, "BAD_INPUT", False),
    ({"query": "{__typename}", "operationName": "X"}, "BAD_INPUT", False),
    ({"query": "query($a:Nope){__typename}"}, "BAD_INPUT", False),
    ({"query": "query($n:Int!){events(first:$n){asOf}}"}, "BAD_INPUT", False),
    ({"query": "query($n:Int!){events(first:$n){asOf}}", "variables": {"n": "x"}}, "BAD_INPUT", False),
    ({"query": "query($n:Int!){events(first:$n){asOf}}", "variables": {"n": 2**31}}, "BAD_INPUT", False),
    ({"query": "subscription{events{eventId}}"}, "BAD_INPUT", False),
    ({"query": "{a" * 3000}, "BAD_INPUT", False),
    ({"query": "{" + " ".join(f"a{n}:__typename" for n in range(500)) + "}"}, "TOO_COMPLEX", False),
    ({"query": "{" + "__typename " * 30_000 + "}"}, "TOO_COMPLEX", False),
    ({"query": "{events(first:1000){nodes{effects(first:1000){nodes{eventId}}}}}"}, "TOO_COMPLEX", False),
]


@pytest.mark.parametrize(("said", "code", "malformed"), GRAPHQL, ids=lambda said: str(said)[:50])
def test_a_graphql_request_that_cannot_be(api: Api, said: dict[str, Any] | bytes, code: str, malformed: bool) -> None:
    """GraphQL over HTTP: what is no request is 4xx in both media types; a document that is refused, in the new one."""
    plain, new = api.post("/graphql", said), api.post("/graphql", said, accept=GRAPHQL_JSON)
    assert graphql_error(plain) == graphql_error(new) == code
    assert plain.headers["content-type"].startswith("application/json")
    assert new.headers["content-type"].startswith(GRAPHQL_JSON)
    assert new.status_code == STATUS[code]
    assert plain.status_code == (STATUS[code] if malformed else 200)


@pytest.mark.parametrize("accept", ["text/plain", "application/xml", "*/*;q=0", "garbage", "application/json;q=x"])
def test_an_answer_of_a_kind_there_is_not(api: Api, accept: str) -> None:
    answer = api.post("/graphql", QUERY, accept=accept)
    assert (answer.status_code, graphql_error(answer)) == (406, "BAD_INPUT")


ASKED = ["", "query=", "query=%ff", "query={", "query={__typename}&variables=x", "query={__typename}&variables={"]
ASKED += ["query={__typename}&variables=[]", "query={__typename}&extensions=x", "query={__typename}&extensions=[]"]


@pytest.mark.parametrize("asked", ASKED)
def test_a_query_string_that_cannot_be(api: Api, asked: str) -> None:
    assert graphql_error(api.http.get(f"/graphql?{asked}", headers={"accept": "application/json"})) == "BAD_INPUT"


STREAMS: list[tuple[dict[str, Any], str]] = (
    [({"stream_name": name}, "BAD_INPUT") for name in ("", "a b", "ä", "a" * 300, "../x", 1, None, [], "a\x00")]
    + [
        ({"stream_name": "b-events", field: value}, "BAD_INPUT")
        for field, values in {
            "partitions": [0, -1, 1.5, "4", 10**9],
            "replication_factor": [0, -1, "x", 10**6],
            "engine": ["nope", 1],
            "compression": ["nope", 5],
            "cleanup_policy": ["nope", []],
            "event_patterns": ["user.*", [1], [""], ["a..b"], ["*" * 5], ["x" * 1000]],
            "retention_policy": [5, {"time_ms": -1}, {"size_bytes": "x"}, {"nope": 1}],
            "ledger_retention_ms": [-1, "x", 2**80],
            "topic_name": ["", "a b", 5, "x" * 300, ".", ".."],
            "nonsense": [1],
        }.items()
        for value in values
    ]
    + [({"stream_name": "user-events"}, "ALREADY_EXISTS")]
)


def test_a_stream_that_cannot_be(api: Api) -> None:
    for said, code in STREAMS:
        answer = api.post("/api/v1/streams", said)
        assert problem(answer) == code, (said, answer.text)
    found = api.http.get("/api/v1/streams").json()["streams"]
    assert [stream["stream_name"] for stream in found] == ["user-events"]


def test_a_route_that_cannot_be(api: Api) -> None:
    good = {"name": "r", "where": {"eventType": {"eq": "a.b"}}, "stream": "user-events"}
    wrong = {
        "name": ["", 5, "x" * 300],
        "where": [5, [], {"nope": 1}, {"expression": "("}],
        "priority": ["x", 1.5, 2**70],
    }
    for field, values in wrong.items():
        for value in values:
            answer = api.post("/api/v1/routes", {**good, field: value})
            assert problem(answer) == "BAD_INPUT", (field, value)
    assert problem(api.post("/api/v1/routes", {**good, "stream": "nope"})) == "UNKNOWN_STREAM"
    assert api.http.get("/api/v1/routes").json() == {"routes": []}


def test_nothing_of_this_was_told_as_a_failure_of_ours(gateway: GatewayProcess) -> None:
    log = (gateway.folder / "log").read_text(errors="replace")
    assert "Traceback" not in log, json.dumps(log[-3000:])
