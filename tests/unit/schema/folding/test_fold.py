from typing import Any

import msgspec
import pytest

from schema.errors import ErrorCode
from schema.folding import limits
from schema.folding.declared import parse_reducers
from schema.folding.fold import Fold, FoldError, compile_reducers
from schema.folding.merge import MERGE_PAYLOADS, merge_patch
from tests.property.schema.filtering import payload_event


def fold(*operations: dict[str, Any], on: str = "order.*", where: str | None = None) -> Fold:
    said = {"on": on, "operations": list(operations), **({"where": where} if where else {})}
    return compile_reducers(parse_reducers([said], drop=True))


def after(state: Any, operation: dict[str, Any], **payload: Any) -> Any:
    return fold(operation).apply(state, payload_event(msgspec.json.encode(payload).decode()))


def failure(state: Any, operation: dict[str, Any], **payload: Any) -> str:
    with pytest.raises(FoldError) as caught:
        after(state, operation, **payload)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert caught.value.event_id == "evt_1"
    assert (caught.value.reducer, caught.value.operation) == (0, 0)
    return str((caught.value.details or {})["kind"])


def by(kind: str, path: str, expression: str) -> dict[str, Any]:
    return {kind: {"path": path, "expression": expression}}


def of(kind: str, path: str, value: Any) -> dict[str, Any]:
    return {kind: {"path": path, "value": value}}


@pytest.mark.parametrize(
    ("state", "operation", "expected"),
    [
        (None, of("set", "a.b", 1), {"a": {"b": 1}}),
        ({"a": None}, of("set", "a.b", 1), {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, of("set", "a.b", None), {"a": {"b": None, "c": 2}}),
        ({"a": [{"b": 1}, 5]}, of("set", "a.0.b", 2), {"a": [{"b": 2}, 5]}),
        ({"a": [1, 2]}, of("set", "a.1", 3), {"a": [1, 3]}),
        ({"a": 1}, of("set", "", {"b": 2}), {"b": 2}),
        ({"a": 1, "b": {"c": 1}}, of("merge", "", {"a": None, "b": {"d": 2}}), {"b": {"c": 1, "d": 2}}),
        ({"a": {"b": 1}}, of("merge", "a", {"b": None, "c": {"d": None}}), {"a": {"c": {}}}),
        (None, of("merge", "a.b", {"c": 1}), {"a": {"b": {"c": 1}}}),
        (None, of("append", "a", 1), {"a": [1]}),
        ({"a": [1]}, of("append", "a", None), {"a": [1, None]}),
        (None, of("increment", "a.n", 2), {"a": {"n": 2}}),
        ({"n": None}, of("increment", "n", 1), {"n": 1}),
        ({"n": 1}, of("increment", "n", 0.5), {"n": 1.5}),
        (None, of("min", "n", 3), {"n": 3}),
        ({"n": 2}, of("min", "n", 3), {"n": 2}),
        ({"n": 2}, of("max", "n", 3.5), {"n": 3.5}),
        ({"t": "b"}, of("max", "t", "a"), {"t": "b"}),
        ({"t": "b"}, of("min", "t", "a"), {"t": "a"}),
        ({"n": 1}, of("max", "n", 1.0), {"n": 1}),
        ({"a": {"b": 1}}, {"remove": {"path": "a.b"}}, {"a": {}}),
        ({"a": [1, 2, 3]}, {"remove": {"path": "a.1"}}, {"a": [1, 3]}),
        ({"a": 1}, {"remove": {"path": "b.c"}}, {"a": 1}),
        (None, {"remove": {"path": "b"}}, None),
        ({"a": 1}, {"drop": True}, None),
    ],
)
def test_operations(state: Any, operation: dict[str, Any], expected: Any) -> None:
    before = msgspec.json.encode(state)
    result = after(state, operation)
    assert msgspec.json.encode(result) == msgspec.json.encode(expected)
    assert msgspec.json.encode(state) == before


@pytest.mark.parametrize(
    ("state", "operation", "kind"),
    [
        ({"a": 1}, of("set", "a.b", 1), "WRONG_TYPE"),
        ({"a": [1]}, of("set", "a.1", 1), "MISSING_PATH"),
        ({"a": [1]}, of("set", "a.b.c", 1), "MISSING_PATH"),
        ({"a": {}}, of("append", "a", 1), "WRONG_TYPE"),
        ({"n": "1"}, of("increment", "n", 1), "WRONG_TYPE"),
        ({"n": True}, of("increment", "n", 1), "WRONG_TYPE"),
        (None, by("increment", "n", "event.payload.t"), "WRONG_TYPE"),
        ({"n": 2**63 - 1}, of("increment", "n", 1), "OVERFLOW"),
        ({"n": 1.7e308}, of("increment", "n", 1.7e308), "OVERFLOW"),
        ({"n": "a"}, of("min", "n", 1), "WRONG_TYPE"),
        (None, by("max", "n", "[1]"), "WRONG_TYPE"),
        (None, by("max", "n", "true"), "WRONG_TYPE"),
        ({"n": "yesterday"}, by("max", "n", "event.timestamp"), "WRONG_TYPE"),
        (None, by("set", "x", "event.payload.missing"), "MISSING_PATH"),
        (None, by("set", "x", "state.missing"), "MISSING_PATH"),
        (None, by("set", "x", "10 / event.payload.zero"), "DIVISION_BY_ZERO"),
    ],
)
def test_what_has_no_value_fails_and_is_not_passed_over(state: Any, operation: dict[str, Any], kind: str) -> None:
    assert failure(state, operation, t="text", zero=0) == kind


def test_expressions_see_the_state_that_earlier_operations_made() -> None:
    both = fold(of("increment", "n", 1), by("set", "double", "state.n * 2"), of("increment", "n", 1))
    assert both.apply(None, payload_event("{}")) == {"n": 2, "double": 2}


def test_a_reducer_is_on_a_pattern_and_may_have_a_condition() -> None:
    guarded = fold(of("increment", "n", 1), where="!has(state.n) || state.n < event.payload.most")
    event = payload_event('{"most": 2}')
    state = None
    for _ in range(4):
        state = guarded.apply(state, event)
    assert state == {"n": 2}
    assert guarded.apply(state, payload_event("{}")) == state, "a condition that fails is not true"
    assert guarded.apply(state, payload_event('{"most": 9}', "user.created")) == state
    assert guarded.wants("order.created")
    assert not guarded.wants("order.item.added")
    assert guarded.types == ("order.*",)


def test_moments_become_texts_and_are_compared_as_moments() -> None:
    times = fold(
        by("set", "inside", '{"at": [timestamp(event.payload.at)]}'), by("max", "last", "timestamp(event.payload.at)")
    )
    state = None
    for at in ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00Z", "2026-01-31T13:00:00+02:00"):
        state = times.apply(state, payload_event(f'{{"at": "{at}"}}'))
    assert state == {"inside": {"at": ["2026-01-31T11:00:00Z"]}, "last": "2026-01-31T12:00:00.500000Z"}


def test_a_state_given_out_is_not_changed_by_going_on() -> None:
    folding = fold(of("append", "items", 1), of("set", "a.b", 1), of("increment", "a.n", 1)).begin()
    folding.apply(payload_event("{}"))
    first = folding.state
    folding.apply(payload_event("{}"))
    assert first == {"items": [1], "a": {"b": 1, "n": 1}}
    assert folding.state == {"items": [1, 1], "a": {"b": 1, "n": 2}}


def test_a_part_that_stands_twice_changes_once() -> None:
    twice = fold(of("increment", "a.n", 1), by("set", "was", "state.a"), by("append", "all", "[state.a]"))
    folding = twice.begin()
    for _ in range(3):
        folding.apply(payload_event("{}"))
    assert folding.state == {"a": {"n": 3}, "was": {"n": 3}, "all": [[{"n": 1}], [{"n": 2}], [{"n": 3}]]}


def test_an_event_s_payload_is_never_changed() -> None:
    keep = fold(by("set", "last", "event.payload"), of("increment", "last.n", 1), of("set", "last.inner.x", 2))
    event = payload_event('{"n": 1, "inner": {"x": 1}}')
    folding = keep.begin()
    for _ in range(3):
        folding.apply(event)
    assert folding.state == {"last": {"n": 2, "inner": {"x": 2}}}
    assert event.payload_document == {"n": 1, "inner": {"x": 1}}


def code_of(fold: Fold, state: Any = None, times: int = 1, payload: str = "{}") -> ErrorCode | None:
    folding = fold.begin(state)
    try:
        for _ in range(times):
            folding.apply(payload_event(payload))
    except FoldError as error:
        return error.code
    return None


def test_a_state_has_at_most_a_megabyte() -> None:
    grow = fold(by("append", "texts", "event.payload.text"))
    payload = msgspec.json.encode({"text": "x" * 100_000}).decode()
    assert code_of(grow, times=10, payload=payload) is None
    assert code_of(grow, times=11, payload=payload) is ErrorCode.PAYLOAD_TOO_LARGE
    double = fold(by("set", "t", "has(state.t) ? state.t + state.t : 'xx'"))
    assert code_of(double, times=19) is None
    assert code_of(double, times=21) is not None


def test_a_state_that_shrinks_in_time_is_not_refused() -> None:
    replace = fold(by("set", "text", "event.payload.text"))
    payload = msgspec.json.encode({"text": "x" * 500_000}).decode()
    assert code_of(replace, times=20, payload=payload) is None


def test_a_state_is_nested_at_most_64_deep() -> None:
    wrap = fold(by("set", "", '{"in": state}'))
    assert code_of(wrap, times=limits.MAX_STATE_DEPTH - 1) is None
    assert code_of(wrap, times=limits.MAX_STATE_DEPTH) is ErrorCode.PAYLOAD_TOO_LARGE
    assert code_of(wrap, state={"a": {}}, times=5000) is ErrorCode.PAYLOAD_TOO_LARGE


@pytest.mark.parametrize(
    "expression",
    [
        " && ".join(["event.payload.items == event.payload.items"] * 20),
        " || ".join(["'no' in event.payload.items"] * 20),
        f"[{', '.join(['size(event.payload.items + [1])'] * 90)}]",
        " || ".join([f"event.payload.text.contains('no{n}')" for n in range(90)]),
    ],
)
def test_an_expression_that_runs_too_long_is_stopped(expression: str) -> None:
    payload = msgspec.json.encode({"items": list(range(100_000)), "text": "x" * 850_000}).decode()
    assert code_of(fold(by("set", "x", expression)), payload=payload) is ErrorCode.TOO_COMPLEX


def test_the_work_of_a_condition_counts_too() -> None:
    where = " || ".join(["'no' in event.payload.items"] * 20)
    payload = msgspec.json.encode({"items": list(range(100_000))}).decode()
    assert code_of(fold(of("set", "x", 1), where=where), payload=payload) is ErrorCode.TOO_COMPLEX


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [  # the examples of RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, expected: Any) -> None:
    before = msgspec.json.encode(target)
    assert merge_patch(target, patch) == expected
    assert msgspec.json.encode(target) == before
    event = payload_event(msgspec.json.encode(patch).decode())
    assert compile_reducers(MERGE_PAYLOADS).apply(target, event) == expected
