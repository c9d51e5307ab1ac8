"""A run of a fold is what folding one by one is, and what plain Python on deep copies is."""

from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.folding.declared import parse_reducers, to_document
from schema.folding.fold import FoldError, compile_reducers
from schema.folding.merge import merge_patch
from tests.property.schema.filtering import payload_event

KEYS = ["a", "b", "0", "1"]
paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(".".join)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 2**63 - 1, "x", "yy"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=5,
)
expressions = st.sampled_from(
    [
        "event.payload",
        "event.payload.a",
        "state.a",
        "state",
        "[state.b, event.payload]",
        '{"a": state.a}',
        "state.a + 1",
    ]
)
assigned = st.one_of(
    st.builds(lambda path, value: {"path": path, "value": value}, paths, json),
    st.builds(lambda path, expression: {"path": path, "expression": expression}, paths, expressions),
)
numbers = st.builds(
    lambda path, said: {"path": path, **said},
    paths,
    st.one_of(
        st.integers(-3, 3).map(lambda n: {"value": n}),
        st.sampled_from(["event.payload.a", "state.b"]).map(lambda text: {"expression": text}),
    ),
)
operations = st.one_of(
    st.tuples(st.sampled_from(["set", "merge", "append"]), assigned).map(lambda pair: {pair[0]: pair[1]}),
    st.tuples(st.sampled_from(["increment", "min", "max"]), numbers).map(lambda pair: {pair[0]: pair[1]}),
    paths.map(lambda path: {"remove": {"path": path}}),
    st.just({"drop": True}),
)
reducers = st.lists(
    st.builds(
        lambda on, where, does: {"on": on, "operations": does, **({"where": where} if where else {})},
        st.sampled_from(["order.*", "**", "user.created"]),
        st.sampled_from([None, "event.payload.a == 1", "has(state.a)", "event.payload.b"]),
        st.lists(operations, min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=3,
)
histories = st.lists(
    st.tuples(st.sampled_from(["order.created", "user.created"]), st.dictionaries(st.sampled_from(KEYS), json)),
    max_size=8,
)


@given(reducers, histories, st.none() | json.filter(lambda value: value is not None))
def test_a_run_equals_one_by_one_and_changes_nothing_it_was_given(
    said: list[Any], history: list[tuple[str, Any]], start: Any
) -> None:
    declared = parse_reducers(said, drop=True)
    assert to_document(parse_reducers(to_document(declared), drop=True)) == to_document(declared)
    fold = compile_reducers(declared)
    events = [payload_event(msgspec.json.encode(payload).decode(), kind) for kind, payload in history]
    before = msgspec.json.encode(start)
    folding, state = fold.begin(start), start
    given_out: list[tuple[Any, bytes]] = []
    for number, event in enumerate(events):
        isolated = deepcopy(state)
        try:
            state = fold.apply(state, event)
        except FoldError as error:
            said_of_it = error.message, error.details
            with pytest.raises(FoldError) as caught:
                folding.apply(event)
            assert (caught.value.message, caught.value.details) == said_of_it
            break
        assert msgspec.json.encode(fold.apply(isolated, event)) == msgspec.json.encode(state)
        folding.apply(event)
        if number % 3 == 0:
            taken = folding.state
            given_out.append((taken, msgspec.json.encode(taken)))
    else:
        assert msgspec.json.encode(folding.state) == msgspec.json.encode(state)
    assert msgspec.json.encode(start) == before
    assert all(msgspec.json.encode(value) == text for value, text in given_out)
    for event, (_, payload) in zip(events, history, strict=True):
        assert event.payload_document == payload


def rfc7386(target: Any, patch: Any) -> Any:
    """The pseudocode of RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = rfc7386(target.get(name), value)
    return target


@given(json, json)
def test_merging_is_rfc_7386(target: Any, patch: Any) -> None:
    expected = rfc7386(deepcopy(target), deepcopy(patch))
    assert msgspec.json.encode(merge_patch(target, patch)) == msgspec.json.encode(expected)
