from typing import Any

import pytest

from schema.errors import ErrorCode, EsbError
from schema.folding import limits
from schema.folding.declared import Kind, parse_reducers, to_document

ORDER = [
    {"on": "order.placed", "where": "event.payload.n > 0", "operations": [{"set": {"path": "status", "value": "new"}}]},
    {
        "on": "order.**",
        "operations": [
            {"set": {"path": "a.b", "value": None}},
            {"merge": {"path": "", "expression": "event.payload"}},
            {"append": {"path": "items", "value": {"x": [1]}}},
            {"increment": {"path": "total", "expression": "event.payload.price * 2"}},
            {"min": {"path": "first", "expression": "event.timestamp"}},
            {"max": {"path": "last", "value": 1.5}},
            {"remove": {"path": "gone"}},
            {"drop": True},
        ],
    },
]


def refusal(said: Any, drop: bool = False) -> EsbError:
    with pytest.raises(EsbError) as caught:
        parse_reducers(said, drop=drop)
    assert caught.value.code is ErrorCode.BAD_INPUT
    return caught.value


def one(**operation: Any) -> list[dict[str, Any]]:
    return [{"on": "a.*", "operations": [operation]}]


def test_what_is_declared_is_shown_as_it_was_said() -> None:
    reducers = parse_reducers(ORDER, drop=True)
    assert to_document(reducers) == ORDER
    assert parse_reducers(to_document(reducers), drop=True) == reducers
    assert [operation.kind for operation in reducers[1].operations] == list(Kind)


def test_keys_that_are_null_are_left_out_as_clients_with_typed_variables_send_them() -> None:
    operation = {"drop": None, "set": {"path": "x", "value": None, "expression": "1"}}
    shown = to_document(parse_reducers([{"on": "a", "where": None, "operations": [operation]}], drop=True))
    assert shown == [{"on": "a", "operations": [{"set": {"path": "x", "expression": "1"}}]}]


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ("no list", "reducers"),
        ([1], "reducers[0]"),
        ([{"on": "a..b", "operations": []}], "reducers[0].on"),
        ([{"operations": []}], "reducers[0].on"),
        ([{"on": "a", "operations": []}], "reducers[0].operations"),
        ([{"on": "a"}], "reducers[0].operations"),
        ([{"on": "a", "else": 1, "operations": []}], "reducers[0]"),
        ([{"on": "a", "where": "event.(", "operations": [{"remove": {"path": "x"}}]}], "reducers[0].where"),
        (one(), "reducers[0].operations[0]"),
        (one(set={"path": "x", "value": 1}, remove={"path": "x"}), "reducers[0].operations[0]"),
        (one(drop=True), "reducers[0].operations[0]"),
        (one(multiply={"path": "x", "value": 1}), "reducers[0].operations[0]"),
        (one(set={"path": "x", "value": 1, "expression": "1"}), "reducers[0].operations[0].set"),
        (one(set={"path": "x"}), "reducers[0].operations[0].set"),
        (one(set={"path": "x", "expression": None}), "reducers[0].operations[0].set"),
        (one(set={"path": "x", "expression": "event.("}), "reducers[0].operations[0].set.expression"),
        (one(set={"path": "x", "expression": "other.x"}), "reducers[0].operations[0].set.expression"),
        (one(set={"path": "x", "value": "\0"}), "reducers[0].operations[0].set.value"),
        (one(set={"value": 1}), "reducers[0].operations[0].set.path"),
        (one(set={"path": "a..b", "value": 1}), "reducers[0].operations[0].set.path"),
        (one(append={"path": "", "value": 1}), "reducers[0].operations[0].append.path"),
        (one(set={"path": ".".join("a" * 33), "value": 1}), "reducers[0].operations[0].set.path"),
        (one(increment={"path": "x", "value": "1"}), "reducers[0].operations[0].increment.value"),
        (one(increment={"path": "x", "value": True}), "reducers[0].operations[0].increment.value"),
        (one(max={"path": "x", "value": [1]}), "reducers[0].operations[0].max.value"),
        (one(set=7), "reducers[0].operations[0].set"),
    ],
)
def test_what_means_nothing_is_refused_by_its_path(said: Any, where: str) -> None:
    error = refusal(said)
    assert (error.details or {})["path"] == where
    assert where in error.message


def test_an_expression_s_refusal_names_the_position() -> None:
    error = refusal(one(set={"path": "x", "expression": "event.payload.a + event.("}))
    assert (error.details or {})["position"] == 25


def test_drop_is_true_or_left_out() -> None:
    assert (refusal(one(drop=False), drop=True).details or {})["path"] == "reducers[0].operations[0].drop"


def test_declarations_are_bounded() -> None:
    reducer = {"on": "a", "operations": [{"remove": {"path": "x"}}]}
    refusal([reducer] * (limits.MAX_REDUCERS + 1))
    reducer = {"on": "a", "operations": [{"remove": {"path": "x"}}] * (limits.MAX_OPERATIONS // 2 + 1)}
    refusal([reducer, reducer])
    assert parse_reducers([reducer], drop=False)
