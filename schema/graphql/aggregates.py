"""Aggregates as GraphQL takes and shows them, as far as that needs no log."""

import strawberry
from strawberry import UNSET

from schema.aggregate import AggregateDeclaration
from schema.graphql.folding import ReducerInput
from schema.graphql.interfaces import Node
from schema.graphql.scalars import JSON, Long


@strawberry.input(description="without reducers and without plugin, payloads are merged (RFC 7386)")
class AggregateTypeInput:
    """A type to declare, or to change."""

    type: str
    reducers: list[ReducerInput] | None = UNSET
    plugin: str | None = strawberry.field(default=UNSET, description="a Python reducer by entry point name")
    snapshot_every: int | None = 100
    snapshot_max_age_ms: Long | None = UNSET


@strawberry.type(description="a declared type of aggregates")
class AggregateType(Node):
    """How its events are folded."""

    id: strawberry.ID
    type: str
    stream: str | None
    reducers: JSON
    plugin: str | None
    revision: int = strawberry.field(description="grows with every change; snapshots of older revisions are dropped")
    snapshot_every: int
    snapshot_max_age_ms: Long | None

    @classmethod
    def of(cls, declared: AggregateDeclaration, stream: str | None) -> "AggregateType":
        """As it is shown."""
        age = declared.snapshot_max_age_ms
        return cls(
            id=strawberry.ID(declared.declaration_id),
            type=declared.type,
            stream=stream,
            reducers=JSON(declared.reducers or []),
            plugin=declared.plugin,
            revision=declared.revision,
            snapshot_every=declared.snapshot_every,
            snapshot_max_age_ms=None if age is None else Long(age),
        )
