"""Publishing by plan and publishing through graphql-core give the same answers, whatever is sent."""

import asyncio
import dataclasses
import json
from typing import Any, cast

import msgspec
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from gateway.graphql.documents import Operation
from gateway.graphql.limits import OperationLimits
from gateway.graphql.operations import Answer, Caller, Operations
from gateway.graphql.request import decode_request
from resolvers.context import Services
from resolvers.schema import graphql_schema
from schema.input import ClientContext
from tests.world import ADMIN, CODEC, admission

RECEIPT = ["index", "eventId", "stream", "position", "partition", "offset", "sequenceNumber", "cursor", "recordedAt"]
RECEIPT += ["duplicate", "__typename"]
REJECTION = ["index", "eventId", "code", "message", "details", "__typename"]
CALLER = Caller(ADMIN, ClientContext(ip_address="192.0.2.1"))


def operations() -> Operations:
    services = cast(Services, Holding())
    return Operations(graphql_schema(), services, OperationLimits())


class Holding:
    """The services that publishing uses."""

    def __init__(self) -> None:
        self.admission = admission()
        self.codec = CODEC


def run(request: dict[str, Any] | bytes, *, by_plan: bool, times: int = 1) -> list[Any]:
    ours = operations()

    async def all_times() -> list[Any]:
        answers = []
        for _ in range(times):
            said = decode_request(request if isinstance(request, bytes) else json.dumps(request).encode())
            found = ours.find(said)
            if isinstance(found, Operation):
                operation = found if by_plan else dataclasses.replace(found, publish=None)
                found = await ours.answer(operation, said, CALLER)
            assert isinstance(found, Answer)
            answers.append((found.executed, json.loads(found.body)))
        return answers

    return asyncio.run(all_times())


def selection(fields: list[str]) -> st.SearchStrategy[str]:
    alias = st.sampled_from(["", "a: ", "b: ", "eventId: "])
    one = st.tuples(alias, st.sampled_from(fields)).map("".join)
    return st.lists(one, min_size=1, max_size=6).map(lambda chosen: "{" + " ".join(chosen) + "}")


MOMENTS = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00+02:00",
    "yesterday",
    "2099-01-01T00:00:00Z",
]
ids = st.sampled_from(["evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3", "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H4", "nonsense", 7, None, ""])
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
odd = st.sampled_from([None, 1, "x", True, {}, [], 1.5])
values: dict[str, st.SearchStrategy[Any]] = {
    "eventType": st.sampled_from(["user.created", "user.renamed", "other.thing", "no spaces !"]) | odd,
    "payload": documents,
    "eventId": ids,
    "eventVersion": st.sampled_from(["1.0", "2", None, 2]),
    "aggregateId": st.sampled_from(["u1", "u2", None, 5]),
    "aggregateType": st.sampled_from(["User", None, 5]),
    "timestamp": st.sampled_from([*MOMENTS, None, 5]),
    "metadata": documents,
    "expectedSequence": st.sampled_from([0, 1, -1, 2**53, 2**53 - 1, None, "0", 1.0, True, 10**30]),
    "stream": st.sampled_from(["user-events", "none", None, 3]),
    "tenantId": st.sampled_from(["acme", "other", None]),
    "userId": st.sampled_from(["ann", "bob", None]),
    "correlationId": st.sampled_from(["c", None, 4]),
    "surplus": odd,
}
good = st.builds(
    lambda kind, aggregate, payload, expected: {
        "eventType": kind, "aggregateType": "User", "aggregateId": aggregate, "payload": payload,
        **({} if expected is None else {"expectedSequence": expected}),
    },
    st.sampled_from(["user.created", "user.renamed"]),
    st.sampled_from(["u1", "u2"]),
    st.dictionaries(st.text("abc", max_size=2), st.integers(-9, 9), max_size=2),
    st.sampled_from([None, None, 0, 1]),
)  # fmt: skip
# mostly right, with a thing or two that may be wrong: all wrong at once would show only the first mistake
changes = st.lists(
    st.sampled_from(sorted(values)).flatmap(lambda name: st.tuples(st.just(name), values[name])), max_size=2
)
events = st.builds(lambda right, changed: {**right, **dict(changed)}, good, changes)
relaxed = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


RIGHT = {"eventType": "user.created", "aggregateType": "User", "aggregateId": "u1"}


@relaxed
@example("{eventId}", "", "e", RIGHT | {"payload": None}, {})
@example("{eventId}", "", "e", RIGHT | {"payload": {}, "expectedSequence": 2**53}, {})
@example("{eventId}", "", "e", RIGHT | {"payload": {}, "metadata": None, "eventVersion": None}, {})
@example("{eventId}", "", "e", None, {"e": RIGHT})
@given(
    fields=selection(RECEIPT),
    alias=st.sampled_from(["", "made: "]),
    variable=st.sampled_from(["e", "event", "class"]),
    value=events,
    others=st.dictionaries(st.sampled_from(["e", "event", "other"]), odd, max_size=1),
)
def test_one_event(fields: str, alias: str, variable: str, value: Any, others: dict[str, Any]) -> None:
    query = f"mutation(${variable}: EventInput!) {{ {alias}publishEvent(event: ${variable}) {fields} }}"
    request = {"query": query, "variables": {variable: value} | others}
    ours, theirs = run(request, by_plan=True, times=2), run(request, by_plan=False, times=2)
    event("published" if ours[0][1].get("data") else "refused")
    assert ours == theirs


@relaxed
@given(
    report=st.builds(
        "{{ {} receipts {} {} rejections {} }}".format,
        st.sampled_from(["", "__typename", "kind: __typename"]),
        selection(RECEIPT),
        st.sampled_from(["", "again: receipts { index }"]),
        selection(REJECTION),
    ),
    atomic=st.sampled_from(
        [
            ("", ""),
            (", atomic: true", ""),
            (", atomic: false", ""),
            (", atomic: null", ""),
            (", atomic: $a", ", $a: Boolean"),
        ]
        + [(", atomic: $a", f", $a: Boolean = {value}") for value in ("true", "false", "null")]
        + [("", ", $unused: Int")]
    ),
    variables=st.fixed_dictionaries(
        {"e": st.lists(good, min_size=1, max_size=4) | st.lists(events, max_size=3) | events | odd},
        optional={"a": st.booleans() | odd, "unused": odd},
    ),
)
def test_a_batch(report: str, atomic: tuple[str, str], variables: dict[str, Any]) -> None:
    query = f"mutation($e: [EventInput!]!{atomic[1]}) {{ publishEvents(events: $e{atomic[0]}) {report} }}"
    request = {"query": query, "variables": variables}
    ours, theirs = run(request, by_plan=True, times=2), run(request, by_plan=False, times=2)
    event("executed" if ours[0][0] else "refused")
    assert ours == theirs


def test_the_plan_is_taken_and_is_not_taken_where_it_must_not() -> None:
    find = operations()

    def planned(query: str) -> bool:
        found = find.find(decode_request(msgspec.json.encode({"query": query})))
        assert isinstance(found, Operation), found
        return found.publish is not None

    assert planned("mutation($e: EventInput!) { publishEvent(event: $e) { eventId } }")
    assert planned(
        "mutation($e: [EventInput!]!, $a: Boolean) { publishEvents(events: $e, atomic: $a) { receipts { index } } }"
    )
    for query in (
        "mutation($e: EventInput!) { publishEvent(event: $e) { ...f } } fragment f on Receipt { eventId }",
        "mutation($e: EventInput!, $s: Boolean!) { publishEvent(event: $e) { eventId @skip(if: $s) } }",
        "mutation($e: EventInput!) { publishEvent(event: $e) { eventId } two: publishEvent(event: $e) { eventId } }",
        'mutation { publishEvent(event: { eventType: "user.created", payload: {} }) { eventId } }',
        "mutation($e: [EventInput!]!, $c: AppendCondition)"
        " { publishEvents(events: $e, condition: $c) { receipts { index } } }",
    ):
        assert not planned(query), query
