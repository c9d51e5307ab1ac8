"""A compiled selection says of an item what graphql-core says of it."""

import json
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from graphql import ExecutionResult
from graphql.execution import execute_subscription_event
from graphql.execution.executor import Executor
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.utils.str_converters import to_camel_case

from gateway.graphql.documents import Documents, Operation
from gateway.graphql.errors import formatted_all
from gateway.graphql.limits import OperationLimits
from resolvers.context import Context, Services
from resolvers.event import Event
from resolvers.event_batch import EventBatch
from resolvers.schema import graphql_schema
from schema.cursor import Cursor
from schema.event import decode_body, encode_body
from schema.graphql.event import EVENT_FIELDS
from schema.graphql.live import CaughtUp, Gap, Progress
from schema.input import ClientContext
from tests.events import draft, stream
from tests.world import ADMIN, CODEC

DOCUMENTS = Documents(graphql_schema(), OperationLimits(aliases=1000))
NAMES = [to_camel_case(name) for name in EVENT_FIELDS] + ["__typename"]


class Holding:
    codec = CODEC


def sign(place: Cursor) -> str:
    return CODEC.encode("acme", place)


def shown(number: int, payload: Any, aggregate: str | None) -> Event:
    event = decode_body(encode_body(draft(stream(), aggregate, id=f"evt_{number:026d}", payload=payload).envelope))
    event.stream, event.position, event.recorded_at = "user-events", number, datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    event.sequence_number = number if aggregate else None
    return Event(event, Cursor(1, number + 1, 77), sign)


payloads = st.dictionaries(st.text("abc", max_size=3), st.integers() | st.none() | st.text(max_size=3), max_size=3)
event_items = st.builds(shown, st.integers(1, 10**6), payloads, st.sampled_from([None, "u1"]))
others = st.one_of(
    st.builds(lambda n, d: Gap(Cursor(1, n), sign, d), st.integers(1, 10**6), st.integers(1, 9)),
    st.builds(lambda n: CaughtUp(Cursor(1, n), sign), st.integers(1, 10**6)),
    st.builds(lambda n: Progress(Cursor(1, n), sign, datetime(2026, 1, 1, tzinfo=UTC)), st.integers(1, 10**6)),
)
batches = st.builds(
    lambda events, n, d, c: EventBatch(events, Cursor(1, n), sign, d, c),
    st.lists(event_items, max_size=3),
    st.integers(1, 10**6),
    st.integers(0, 3),
    st.booleans(),
)
alias = st.sampled_from(["", "", "", "a: ", "b: ", "id: "])
# a name under an alias of another field would be two things under one name, which validation refuses
fields = st.lists(st.tuples(alias, st.sampled_from(NAMES)), min_size=1, max_size=8, unique_by=lambda pair: pair).map(
    lambda pairs: " ".join(f"{renamed}{name}" for renamed, name in pairs)
)
nested = fields | st.builds("{} ... on Event {{ {} }}".format, fields, fields) | fields.map("... {{ {} }}".format)


def found(query: str) -> Operation | None:
    try:
        return DOCUMENTS.get(query).operations[0]
    except Exception:
        return None  # two fields under one name


def by_graphql_core(operation: Operation, item: Any, variables: dict[str, Any]) -> Any:
    context = Context(ADMIN, cast(Services, Holding()), ClientContext(), None)
    executor = ExecutorThrowingOnIncremental.build(
        graphql_schema(), operation.document, context_value=context, raw_variable_values=variables
    )
    assert isinstance(executor, Executor)
    result = execute_subscription_event(executor.build_per_event_executor(item))
    assert isinstance(result, ExecutionResult)
    errors = {"errors": formatted_all(result.errors)} if result.errors else {}
    return json.loads(msgspec.json.encode({"data": result.data} | errors))


def both(query: str, item: Any, **variables: Any) -> None:
    operation = found(query)
    if operation is None:
        return
    assert operation.subscription is not None
    prepared = operation.subscription.prepare(msgspec.Raw(msgspec.json.encode(variables)))
    assert prepared is not None
    ours = json.loads(prepared.shape.encode(item))
    theirs = by_graphql_core(operation, item, variables)
    assert ours == theirs
    assert json.dumps(ours) == json.dumps(theirs), "in another order"


checked = settings(deadline=None, max_examples=150)


@checked
@given(nested, st.sampled_from(["", "mine: "]), event_items)
def test_events(selection: str, renamed: str, item: Event) -> None:
    both(f"subscription {{ {renamed}events {{ {selection} }} }}", item)


@checked
@given(
    st.lists(
        st.sampled_from(
            [
                "__typename",
                "cursor",
                "c: cursor",
                "... on Gap { dropped }",
                "... on Progress { at }",
                "... on FeedItem { cursor t: __typename }",
                "... on Node { id }",
                "... on CaughtUp { cursor }",
                "...f",
            ]
        )
        | fields.map("... on Event {{ {} }}".format),
        min_size=1,
        max_size=5,
    ),
    event_items | others,
)
def test_a_feed(parts: list[str], item: Any) -> None:
    fragment = "fragment f on Event { payload ...g } fragment g on Event { eventId }" if "...f" in parts else ""
    both(f"subscription {{ feed {{ {' '.join(parts)} }} }} {fragment}", item)


@checked
@given(nested, st.sampled_from(["cursor dropped", "__typename caughtUp done: caughtUp", ""]), batches)
def test_batches(selection: str, around: str, item: EventBatch) -> None:
    both(f"subscription {{ eventBatches {{ {around} events {{ {selection} }} }} }}", item)


conditions = st.sampled_from(
    ["", "@include(if: $yes)", "@skip(if: $yes)", "@include(if: $no)", "@skip(if: $no) @include(if: true)"]
)
paths = st.sampled_from(["payload.a", "payload", "payload.a.0", "event_type", "nothing.at", "payload..a", "", "id"])


@checked
@given(
    st.lists(st.tuples(conditions, st.sampled_from(NAMES)), min_size=1, max_size=5),
    st.lists(st.tuples(conditions, paths, st.booleans()), max_size=3),
    paths,
    st.booleans(),
    st.booleans(),
    event_items,
)
def test_directives_arguments_and_errors(
    fields: list[tuple[str, str]],
    values: list[tuple[str, str, bool]],
    path: str,
    yes: bool,
    no: bool,
    item: Event,
) -> None:
    parts = [f"{name} {condition}" for condition, name in fields]
    for number, (condition, constant, by_variable) in enumerate(values):
        argument = "$path" if by_variable else json.dumps(constant)
        parts.append(f"v{number}: value(path: {argument}) {condition}")
    selection = " ".join(parts) + " used: value(path: $path) __typename @include(if: $yes) t: __typename @skip(if: $no)"
    query = "subscription Q($yes: Boolean!, $no: Boolean = false, $path: String!)"
    both(f"{query} {{ events {{ {selection} }} }}", item, yes=yes, no=no, path=path)


def test_what_has_to_be_waited_for_is_left_to_graphql_core() -> None:
    for selection in ("cause { eventId }", "effects { nodes { eventId } }"):
        operation = found(f"subscription {{ events {{ {selection} }} }}")
        assert operation is not None, selection
        assert operation.subscription is not None, selection
        assert operation.subscription.prepare(msgspec.Raw(b"{}")) is None, selection


def test_subscribers_with_the_same_result_share_a_shape_whatever_else_they_ask() -> None:
    operation = found(
        "subscription ($from: From, $where: EventFilter, $size: Int, $path: String!) {"
        " events(from: $from, where: $where, bufferBytes: $size) { value(path: $path) } }"
    )
    assert operation is not None
    assert operation.subscription is not None

    def shape(**variables: Any) -> object:
        prepared = operation.subscription.prepare(msgspec.Raw(msgspec.json.encode(variables)))
        assert prepared is not None
        return prepared.shape

    first = shape(path="payload.a")
    assert shape(path="payload.a", size=20_000, where={"eventType": {"eq": "a.b"}}) is first
    assert shape(**{"path": "payload.a", "from": {"beginning": True}}) is first
    assert shape(path="payload.b") is not first
