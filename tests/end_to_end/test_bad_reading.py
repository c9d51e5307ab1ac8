"""What a reader may say wrong: filters, cursors of all kinds, page sizes, orders, paths, by GraphQL and REST."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.end_to_end.api import Api, administrator, new_tenant
from tests.end_to_end.refusals import graphql_error, problem, tells_nothing_of_insides
from tests.services.gateway import GatewayProcess

EVENTS = "query($w: EventFilter, $a: String, $c: Cursor, $n: Int, $s: [String!]) {" + (
    "events(where: $w, after: $a, consistentWith: $c, first: $n, streams: $s) { nodes { eventId } } }"
)
DEEP: Any = {"eventType": {"eq": "a.b"}}
for _ in range(200):
    DEEP = {"not": DEEP}


@pytest.fixture(scope="module")
def api(gateway: GatewayProcess) -> Iterator[Api]:
    for made in administrator(gateway):
        for number in range(3):
            made.publish(payload={"n": number, "text": "x"})
        yield made


@pytest.fixture(scope="module")
def stream(api: Api) -> str:
    return str(api.http.get("/api/v1/streams").json()["streams"][0]["stream_id"])


def asked(api: Api, **variables: Any) -> httpx.Response:
    return api.post("/graphql", {"query": EVENTS, "variables": variables})


LEAVES: list[Any] = [
    5,
    "x",
    [],
    True,
    {"nope": "x"},
    {"eq": 5},
    {"eq": []},
    {"in": [1]},
    {"startsWith": 5},
]
FILTERS: list[Any] = [
    5,
    "x",
    [],
    [1],
    {"nope": {"eq": "x"}},
    {"and": 5},
    {"and": [5]},
    {"and": {"eventType": 5}},
    {"or": [None]},
    {"not": []},
    *({"eventType": leaf} for leaf in LEAVES),
    *({"sequenceNumber": leaf} for leaf in (5, {"eq": "x"}, {"gt": 1.5}, {"eq": True}, {"gte": 2**70}, {"like": 1})),
    *({"timestamp": leaf} for leaf in (5, {"gt": "x"}, {"gte": 5}, {"eq": "2025-13-01T00:00:00Z"}, {"nope": 1})),
    *({"payload": leaf} for leaf in (5, [5], [{"path": 5, "eq": 1}], [{"eq": 1}], [{"path": "a", "nope": 1}])),
    *({"payload": [{"path": path, "exists": True}]} for path in ("", ".", "a..b", "a.", "x" * 5000, "a\x00")),
    {"eventType": {"pattern": "**.**.x."}},
    {"eventType": {"eq": "a\x00b"}},
    {"expression": 5},
    DEEP,
]
EXPRESSIONS = ["", " ", "(", ")", "1", "event", "event.", "event.nope == 1", "event.payload.n >", "event.payload.n = 1"]
EXPRESSIONS += [
    "'open",
    "event.payload.n == 1 &&",
    "nope(1)",
    "state.x == 1",
    "event.payload['n' == 1",
    "1 +",
    "a" * 50_000,
]
EXPRESSIONS += [
    "(" * 500 + "true" + ")" * 500,
    "!" * 5000 + "true",
    "é == 1",
    "event.payload.n == 1;",
    "__import__('os')",
]
EXPRESSIONS += [
    "event.__class__ == 1",
    "true ? 1",
    "'\\x'",
    "0x",
    "1e999 > 1",
    "\x00",
]


@pytest.mark.parametrize("where", FILTERS, ids=lambda where: str(where)[:60])
def test_a_filter_that_cannot_be(api: Api, stream: str, where: Any) -> None:
    assert graphql_error(asked(api, w=where)) in ("BAD_INPUT", "TOO_COMPLEX")
    rest = api.http.get(f"/api/v1/streams/{stream}/events", params={"where": json.dumps(where)})
    assert problem(rest) in ("BAD_INPUT", "TOO_COMPLEX")


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: repr(expression)[:40])
def test_an_expression_that_cannot_be(api: Api, stream: str, expression: str) -> None:
    assert graphql_error(asked(api, w={"expression": expression})) in ("BAD_INPUT", "TOO_COMPLEX")
    where = json.dumps({"expression": expression})
    if len(where) < 10_000:  # beyond, the request line is too long for any server
        rest = api.http.get(f"/api/v1/streams/{stream}/events", params={"where": where})
        assert problem(rest) in ("BAD_INPUT", "TOO_COMPLEX")


@pytest.mark.parametrize("where", ["{", "[]", "null", "1", '{"a":' * 500, "\x00", '{"eventType":{"eq":"\\ud800"}}'])
def test_a_where_that_is_no_json_object(api: Api, stream: str, where: str) -> None:
    assert problem(api.http.get(f"/api/v1/streams/{stream}/events", params={"where": where})) == "BAD_INPUT"


MEANINGLESS = ["event.payload.n / 0 == 1", "event.payload.text > 1", "event.payload.n % 0 == 1"]
MEANINGLESS += ["event.payload.nope.x == 1", "event.payload.n + event.payload.text == 1", "-event.payload.text == 1"]
MEANINGLESS += ["event.payload.n * 1e308 * 1e308 > 1"]


@pytest.mark.parametrize("expression", MEANINGLESS)
def test_an_expression_that_means_nothing_for_an_event_matches_nothing(api: Api, expression: str) -> None:
    answer = asked(api, w={"expression": expression})
    tells_nothing_of_insides(answer.text)
    assert "errors" not in answer.json() or graphql_error(answer) == "BAD_INPUT"


def cursors(api: Api) -> dict[str, str]:
    """Where a page's `endCursor` is wanted: what else might be put there."""
    page = api.graphql("{ events(first: 1) { pageInfo { endCursor } asOf } streams { pageInfo { endCursor } } }")
    end = str(page["events"]["pageInfo"]["endCursor"])
    foreign = Api(api.gateway, new_tenant())
    try:
        foreign.create_stream()
        foreign.publish()
        foreign.publish()
        others = foreign.graphql("{ events(first: 1) { pageInfo { endCursor } } }")["events"]["pageInfo"]["endCursor"]
    finally:
        foreign.close()
    return {
        "empty": "",
        "words": "no cursor",
        "damaged": end[:9] + ("A" if end[9] != "A" else "B") + end[10:],
        "cut": end[:-4],
        "longer": end + "AAAA",
        "padded": end + "=",
        "long": "A" * 600,
        "NUL": "\x00",
        "of another tenant": others,
        "of another list": str(page["streams"]["pageInfo"]["endCursor"]),
        "an event's": api.graphql("{ events(first: 1) { nodes { cursor } } }")["events"]["nodes"][0]["cursor"],
        "a head": str(page["events"]["asOf"]),
    }


def test_a_page_cursor_that_is_none_of_this_list(api: Api, stream: str) -> None:
    for name, text in cursors(api).items():
        assert graphql_error(asked(api, a=text)) == "CURSOR_INVALID", name
        rest = api.http.get(f"/api/v1/streams/{stream}/events", params={"after": text})
        assert problem(rest) == "CURSOR_INVALID", name
        query = 'query($a: String) { correlation(correlationId: "x", after: $a) { nodes { eventId } } }'
        found = api.post("/graphql", {"query": query, "variables": {"a": text}})
        assert graphql_error(found) == "CURSOR_INVALID", name
    end = api.graphql("{ events(first: 1) { pageInfo { endCursor } } }")["events"]["pageInfo"]["endCursor"]
    streams = api.post("/graphql", {"query": f'{{ streams(after: "{end}") {{ nodes {{ id }} }} }}'})
    assert graphql_error(streams) == "CURSOR_INVALID"
    backwards = api.http.get(f"/api/v1/streams/{stream}/events", params={"after": end, "order": "desc"})
    assert problem(backwards) == "BAD_INPUT"


def test_a_cursor_to_be_consistent_with_that_is_none(api: Api) -> None:
    end = api.graphql("{ events(first: 1) { pageInfo { endCursor } } }")["events"]["pageInfo"]["endCursor"]
    for text in ("", "x", end, "A" * 600, "\x00"):
        assert graphql_error(asked(api, c=text)) == "CURSOR_INVALID"


@pytest.mark.parametrize("count", [-1, 0, 1001, "x", 1.5, True, 2**31])
def test_a_page_of_a_size_there_is_not(api: Api, count: Any) -> None:
    assert graphql_error(asked(api, n=count)) in ("BAD_INPUT", "TOO_COMPLEX")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "1.0", "١", " 5", "9" * 50])
@pytest.mark.parametrize("path", ["streams", "streams/{}/events"])
def test_a_limit_there_is_not(api: Api, stream: str, path: str, limit: str) -> None:
    assert problem(api.http.get(f"/api/v1/{path.format(stream)}", params={"limit": limit})) == "BAD_INPUT"


@pytest.mark.parametrize("order", ["", "up", "None", "name"])
def test_an_order_there_is_not(api: Api, stream: str, order: str) -> None:
    assert problem(api.http.get(f"/api/v1/streams/{stream}/events", params={"order": order})) == "BAD_INPUT"


@pytest.mark.parametrize("streams", [["nope"], [""], ["user-events", "a\x00"], ["x" * 5000]])
def test_a_stream_there_is_not(api: Api, streams: list[str]) -> None:
    assert graphql_error(asked(api, s=streams)) == "UNKNOWN_STREAM"


@pytest.mark.parametrize("name", ["nope", "str_01M84WD655B4Z7KSRYJVEGJR4M", "%00", "%ff", "a" * 3000])
def test_an_id_there_is_not(api: Api, name: str) -> None:
    for path in (f"streams/{name}", f"streams/{name}/events", f"events/{name}"):
        assert problem(api.http.get(f"/api/v1/{path}")) == "NOT_FOUND"
    for method, path in (("DELETE", f"streams/{name}"), ("DELETE", f"routes/{name}")):
        assert problem(api.http.request(method, f"/api/v1/{path}")) == "NOT_FOUND"
    assert problem(api.http.patch(f"/api/v1/streams/{name}", json={"event_patterns": []})) == "NOT_FOUND"


@pytest.mark.parametrize("path", ["", "x", "payload..a", "payload.", "\x00", "x" * 5000, "tenantId"])
def test_a_value_path_that_cannot_be(api: Api, path: str) -> None:
    query = "query($p: String!) { events(first: 1) { nodes { value(path: $p) } } }"
    assert graphql_error(api.post("/graphql", {"query": query, "variables": {"p": path}})) == "BAD_INPUT"


def test_an_index_of_thousands_of_digits_is_beyond_every_list(api: Api) -> None:
    event_id = api.publish(payload=[1, 2])["event_id"]
    query = "query($i: ID!, $p: String!) { event(eventId: $i) { value(path: $p) } }"
    for index, value in (("1", 2), ("9" * 5000, None), ("٣", None)):
        assert api.graphql(query, i=event_id, p=f"payload.{index}") == {"event": {"value": value}}
