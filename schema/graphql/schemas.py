"""Schemas as GraphQL takes them in and shows them."""

from datetime import datetime

import strawberry

from schema.graphql.enums import Compatibility, SchemaFormat
from schema.graphql.folding import OperationInput
from schema.graphql.interfaces import Node, PageInfo
from schema.payloads.declared import Problem
from schema.payloads.declared import SchemaVersion as Registered


@strawberry.input
class SchemaInput:
    """A definition, as a version of an event type's schema."""

    event_type: str
    version: str
    format: SchemaFormat | None = SchemaFormat.JSON_SCHEMA
    definition: str


@strawberry.input(
    description="turns a payload of one version into the next; the operations of reducers, on the payload"
)
class UpcasterInput:
    """How an older payload is read in a newer shape."""

    event_type: str
    from_version: str
    to_version: str
    operations: list[OperationInput]


@strawberry.type(description="one registered version of an event type's schema")
class SchemaVersion(Node):
    """It never changes."""

    event_type: str
    version: str
    format: SchemaFormat
    definition: str
    compatibility: Compatibility = strawberry.field(description="what the type's next version owes the older ones")
    registered_at: datetime
    personal_paths: list[str] = strawberry.field(description="dotted paths marked personal")

    @classmethod
    def of(cls, one: Registered) -> "SchemaVersion":
        """The version as GraphQL shows it."""
        return cls(
            id=strawberry.ID(one.schema_id),
            event_type=one.event_type,
            version=one.version,
            format=one.definition.format,
            definition=one.definition.text,
            compatibility=one.compatibility,
            registered_at=one.registered_at,
            personal_paths=list(one.definition.personal_paths),
        )


@strawberry.type
class SchemaVersionEdge:
    """A version in a page."""

    node: SchemaVersion
    cursor: str


@strawberry.type
class SchemaVersionConnection:
    """A page of versions, by event type and in the order they were registered."""

    nodes: list[SchemaVersion]
    edges: list[SchemaVersionEdge]
    page_info: PageInfo


@strawberry.type
class CompatibilityProblem:
    """Why a definition cannot follow an older version."""

    against_version: str
    path: str = strawberry.field(description="dotted, into the payload; empty: the whole")
    rule: str
    message: str


@strawberry.type
class CompatibilityReport:
    """Whether a definition may be registered."""

    compatible: bool
    problems: list[CompatibilityProblem]

    @classmethod
    def of(cls, problems: list[Problem]) -> "CompatibilityReport":
        """The report as GraphQL shows it."""
        shown = [
            CompatibilityProblem(against_version=one.against_version, path=one.path, rule=one.rule, message=one.message)
            for one in problems[:1000]
        ]
        return cls(compatible=not problems, problems=shown)
