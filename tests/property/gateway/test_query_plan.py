"""Queries by plan and queries through graphql-core: the same bytes, whatever is asked, found, missing or broken."""

import asyncio
import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st
from strawberry.utils.str_converters import to_camel_case

from gateway.graphql.compiled import Unfit
from gateway.graphql.documents import Operation
from gateway.graphql.limits import OperationLimits
from gateway.graphql.operations import Answer, Caller, Operations
from gateway.graphql.request import decode_request
from processors.pages import Bounds, EventPage, Order, check_first
from processors.query import EffectsOf, Placed
from resolvers.context import Context, Services
from resolvers.schema import graphql_schema
from schema.cursor import Cursor, CursorInvalid
from schema.errors import ErrorCode, EsbError
from schema.event import Event, decode_body, encode_body
from schema.graphql.event import EVENT_FIELDS
from schema.input import ClientContext
from schema.principal import Principal
from schema.stream import Route, Stream
from tests.events import draft, stream
from tests.property.gateway.query_documents import queries
from tests.world import ADMIN, CODEC

CALLER = Caller(ADMIN, ClientContext())
FAILING = ("page", "placed", "effects", "head", "count", "streams", "routes")
ROUTE = Route(route_id="rte_1", tenant="acme", name="all", stream="user-events", where={"a": {"b": [1, None]}})


class World:
    """What the use cases find: the same for both, given; and what they were asked."""

    def __init__(self, events: Sequence[Event], failing: str | None, problem: Exception) -> None:
        self.events = self.streams = self
        self.codec = CODEC
        self.asked: set[str] = set()
        self._events = events
        self._failing = failing
        self._problem = problem

    async def page(self, principal: Principal, *, after: str | None = None, first: int = 50, **said: Any) -> EventPage:
        self._ask("page", first, after, sorted(said.items(), key=lambda pair: pair[0]))
        return self._page(first, after, said.get("order", Order.ASC))

    async def correlation(
        self, principal: Principal, correlation_id: str, *, streams: Any, first: int, after: str | None
    ) -> EventPage:
        self._ask("page", correlation_id, streams, first, after)
        return self._page(first, after, Order.ASC)

    async def effects(self, principal: Principal, event_id: str, *, streams: Any, first: int, after: str) -> EventPage:
        self._ask("effects", event_id, streams, first, after)
        return self._page(first, after, Order.ASC)

    async def effects_of_each(self, principal: Principal, keys: Sequence[EffectsOf]) -> dict[EffectsOf, EventPage]:
        for key in keys:
            self._ask("effects", *key)
        return {key: self._page(key.first, None, Order.ASC) for key in keys}

    async def placed(self, principal: Principal, event_ids: Sequence[str]) -> dict[str, Placed]:
        for event_id in event_ids:
            self._ask("placed", event_id)
        return {one.event_id: Placed(one, Cursor(1, 5)) for one in self._events if one.event_id in event_ids}

    async def head(self, principal: Principal, of: Stream) -> Cursor:
        self._ask("head", of.stream_name)
        return Cursor(1, 9)

    async def count(self, principal: Principal, of: Stream) -> int:
        self._ask("count", of.stream_name)
        return 2**40

    async def list(self, principal: Principal) -> list[Stream]:
        self._ask("streams")
        return [stream(1), stream(2, "order-events")]

    async def get(self, principal: Principal, name: str) -> Stream | None:
        self._ask("streams", name)
        return stream(1) if name == "user-events" else None

    async def routes(self, principal: Principal) -> Sequence[Route]:
        self._ask("routes")
        return [ROUTE]

    def _ask(self, what: str, *about: Any) -> None:
        self.asked.add(f"{what} {about}")
        if what == self._failing:
            raise self._problem

    def _page(self, first: int, after: str | None, order: Order) -> EventPage:
        check_first(first)
        if after == "a":
            raise CursorInvalid("it is none")
        chosen = list(self._events if order is Order.ASC else reversed(self._events))[:first]
        marks = [Bounds(1, order, number, 9, 1, 1, 0) for number in range(len(chosen))]
        return EventPage(
            events=chosen,
            places=[Cursor(1, number) for number in range(len(chosen))],
            marks=marks,
            end=Bounds(1, order, 9, 9, 1, 1, 0),
            has_next=len(self._events) > len(chosen),
            has_previous=after is not None,
            as_of=Cursor(1, 9),
            sign=lambda page: CODEC.encode_page("acme", page),
        )


def committed(number: int, payload: Any, cause: str | None, odd: dict[str, Any]) -> Event:
    made = decode_body(encode_body(draft(stream(), f"u{number}", id=f"evt_{number}", payload=payload).envelope))
    made.stream, made.position, made.recorded_at = "user-events", number, datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    made.causation_id = cause
    for name, value in odd.items():
        setattr(made, name, value)
    return made


# values an engine should never give: graphql-core has something to say about each
odd: list[dict[str, Any]] = [{"event_type": None}, {"partition": 2**31}, {"partition": -(2**31)}, {"position": 2.5}]
odd += [{"offset": "7"}, {"timestamp": "soon"}, {"user_id": 7}, {"stream": True}, {"sequence_number": None}]
oddities = st.just({}) | st.sampled_from(odd)
payloads = st.dictionaries(st.sampled_from("ab"), st.integers() | st.none() | st.text(max_size=3), max_size=2)
contents = st.lists(st.tuples(payloads, st.sampled_from([None, "evt_1", "evt_2", "evt_7"]), oddities), max_size=3).map(
    lambda rows: [committed(number, *row) for number, row in enumerate(rows, 1)]
)
problems = st.sampled_from(
    [
        EsbError(ErrorCode.LOG_UNAVAILABLE, "no log", retry_after_ms=100),
        EsbError(ErrorCode.FORBIDDEN, "not yours", details={"a": 1}),
        RuntimeError("unforeseen"),
    ]
)


def run(request: dict[str, Any], world: World, *, by_plan: bool) -> Answer:
    ours = Operations(graphql_schema(), cast(Services, world), OperationLimits(aliases=1000))
    said = decode_request(json.dumps(request).encode())
    found = ours.find(said)
    if isinstance(found, Answer):
        return found
    operation = found if by_plan else dataclasses.replace(found, query=None)
    with structlog.testing.capture_logs():  # drawing the stack of what is unforeseen would take most of the time
        return asyncio.run(ours.answer(operation, said, CALLER))


def taken(request: dict[str, Any], world: World) -> bool:
    """Whether the plan answers by itself."""
    ours = Operations(graphql_schema(), cast(Services, world), OperationLimits(aliases=1000))
    found = ours.find(decode_request(json.dumps(request).encode()))
    assert isinstance(found, Operation), found
    if found.query is None:
        return False
    context = Context(ADMIN, cast(Services, world), ClientContext(), None)
    try:
        asyncio.run(found.query.run(request.get("variables", {}), context))
    except Unfit:
        return False
    return True


def both(request: dict[str, Any], events: Sequence[Event], failing: str | None, problem: Exception) -> Answer:
    here, there = World(events, failing, problem), World(events, failing, problem)
    ours, theirs = run(request, here, by_plan=True), run(request, there, by_plan=False)
    assert ours == theirs
    # where something fails, what is still asked beside it is chance
    assert ours.errors or here.asked == there.asked
    return ours


NOTHING = RuntimeError("not raised")
SKIPPING = "query($b: Boolean!) { events { nodes @skip(if: $b) { id } } }"
COUNTING = "query($n: Int = 2) { events(first: $n) { nodes { id } } }"
FIRST = committed(1, {"a": None}, "evt_2", {})


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@example({"query": "{ event(eventId: 1) { id } events { asOf } }"}, [FIRST], "placed", NOTHING)
@example({"query": SKIPPING, "variables": {"b": True}}, [FIRST], None, NOTHING)
@example({"query": COUNTING, "variables": {"n": None}}, [FIRST], None, NOTHING)
@given(request=queries(), events=contents, failing=st.sampled_from([None, None, None, *FAILING]), problem=problems)
def test_any_query(request: dict[str, Any], events: Sequence[Event], failing: str | None, problem: Exception) -> None:
    answer = both(request, events, failing, problem)
    assume(answer.executed or b"validation" not in answer.body)
    event("refused" if not answer.executed else "with errors" if answer.errors else "whole")


EVERY = " ".join(to_camel_case(name) for name in EVENT_FIELDS)


@pytest.mark.parametrize("given", [{}, *odd], ids=str)
def test_values_no_engine_should_give(given: dict[str, Any]) -> None:
    query = f'{{ events {{ nodes {{ {EVERY} }} }} event(eventId: "evt_1") {{ {EVERY} }} }}'
    answer = both({"query": query}, [committed(1, {}, None, given)], None, NOTHING)
    assert answer.executed


@pytest.mark.parametrize("problem", [EsbError(ErrorCode.LOG_UNAVAILABLE, "no log"), RuntimeError("unforeseen")])
@pytest.mark.parametrize(
    ("query", "failing"),
    [
        ("{ events { asOf } }", "page"),
        ('{ one: event(eventId: "evt_1") { id } }', "placed"),
        ("{ events { nodes { effects { asOf } cause { id } } } }", "effects"),
        ("{ events { nodes { id cause { id } } } }", "placed"),
        ("{ streams { nodes { streamName head } } }", "head"),
        ('{ events { nodes { id value(path: "none") } } }', None),
        ('{ events { asOf } event(eventId: "evt_1") { id } }', "placed"),
    ],
)
def test_a_failure_makes_null_what_graphql_core_makes_null(query: str, failing: str | None, problem: Exception) -> None:
    answer = both({"query": query}, [FIRST, committed(2, {}, "evt_1", {})], failing, problem)
    assert answer.errors


@pytest.mark.parametrize("said", [{}, {"n": None}, {"n": 1}, {"n": 1.0}, {"n": "1"}, {"n": 0}, {"n": 2**31}])
@pytest.mark.parametrize("declared", ["Int", "Int = 2", "Int = null", "Int!"])
def test_variables_and_what_they_are_when_left_out(declared: str, said: dict[str, Any]) -> None:
    query = f"query($n: {declared}) {{ events(first: $n, order: DESC) {{ nodes {{ id }} }} }}"
    both({"query": query, "variables": said}, [FIRST, *(committed(n, {}, None, {}) for n in (2, 3))], None, NOTHING)


@pytest.mark.parametrize(
    "query",
    [
        "{ events(first: 50) { nodes { eventId payload timestamp } pageInfo { hasNextPage endCursor } asOf } }",
        'query($id: ID!) { event(eventId: $id) { eventId value(path: "payload.a") cause { eventId ...f } } }'
        " fragment f on Event { effects(first: 2) { nodes { eventId } } }",
        "query($b: Boolean!) { streams { nodes { streamName head @include(if: $b) retentionPolicy { timeMs } } } }",
        '{ stream(name: "user-events") { engine events(first: 1, order: DESC) { edges { cursor node { id } } } } }',
        "query($t: String) { events(where: { eventType: { eq: $t } }) { nodes { id } } }",
        "query($w: EventFilter, $n: Int = 3) { events(where: $w, first: $n) { nodes { cursor } } }",
        '{ node(id: "evt_1") { id ... on Event { eventType } } routes { where } }',
    ],
)
def test_what_is_plain_is_not_left_to_graphql_core(query: str) -> None:
    variables = {"id": "evt_1", "b": True, "t": "user.created", "w": {"eventType": {"eq": "user.created"}}}
    world = World([FIRST, committed(2, {}, None, {})], None, NOTHING)
    assert taken({"query": query, "variables": variables}, world)


@pytest.mark.parametrize("query", ["{ __schema { queryType { name } } }", '{ __type(name: "Event") { name } }'])
def test_introspection_is_left_to_graphql_core(query: str) -> None:
    assert not taken({"query": query}, World([], None, NOTHING))


def test_fragments_that_grow_are_left_to_graphql_core() -> None:
    parts = [f"fragment f{n} on Event {{ a: cause {{ ...f{n + 1} }} b: cause {{ ...f{n + 1} }} }}" for n in range(11)]
    query = '{ event(eventId: "evt_1") { ...f0 } } ' + " ".join(parts) + " fragment f11 on Event { id }"
    assert not taken({"query": query}, World([], None, NOTHING))


def test_one_failing_field_is_asked_once() -> None:
    world = World([], "page", EsbError(ErrorCode.LOG_UNAVAILABLE, "no log"))
    asked: list[str] = []
    world._ask = lambda what, *about: asked.append(what) or _fail()  # type: ignore[method-assign, func-returns-value]
    answer = run({"query": "{ events { asOf } }"}, world, by_plan=True)
    assert msgspec.json.decode(answer.body)["errors"][0]["extensions"]["code"] == "LOG_UNAVAILABLE"
    assert asked == ["page"]


def _fail() -> None:
    raise EsbError(ErrorCode.LOG_UNAVAILABLE, "no log")
