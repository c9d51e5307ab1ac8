"""Declared folds as GraphQL takes them in, and back into the documents `schema.folding.declared` parses."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import strawberry
from strawberry import UNSET

from schema.graphql.scalars import JSON, ExpressionText


@strawberry.input(description="value or expression, exactly one; an expression sees event and state")
class AssignInput:
    """What an operation puts where."""

    path: str
    value: JSON | None = UNSET
    expression: ExpressionText | None = UNSET


@strawberry.input
class RemoveInput:
    """What an operation takes away."""

    path: str


@strawberry.input(
    one_of=True, description="paths are dotted paths into the state; `drop` removes the whole row (projections)"
)
class OperationInput:
    """Exactly one of its fields."""

    set: AssignInput | None = UNSET
    merge: AssignInput | None = UNSET
    append: AssignInput | None = UNSET
    increment: AssignInput | None = UNSET
    min: AssignInput | None = UNSET
    max: AssignInput | None = UNSET
    remove: RemoveInput | None = UNSET
    drop: bool | None = UNSET


@strawberry.input(
    description="`on` is an event type pattern; operations run in order; `where` sees event and state",
)
class ReducerInput:
    """What an event of some types does to a state."""

    on: str
    where: ExpressionText | None = UNSET
    operations: list[OperationInput]


def reducer_documents(said: Sequence[ReducerInput]) -> list[dict[str, Any]]:
    """The inputs as `parse_reducers` takes them, with only what was given."""
    return [_document(one) for one in said]


def operation_documents(said: Sequence[OperationInput]) -> list[dict[str, Any]]:
    """The inputs as `parse_operations` takes them, with only what was given."""
    return [_document(one) for one in said]


def _document(said: Any) -> dict[str, Any]:
    return {
        field.name: _plain(value)
        for field in dataclasses.fields(said)
        if (value := getattr(said, field.name)) is not UNSET
    }


def _plain(value: Any) -> Any:
    # A JSON value may be a list, but never holds one of our inputs.
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _document(value) if isinstance(value, AssignInput | RemoveInput | OperationInput) else value
