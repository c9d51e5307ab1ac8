"""Projections as GraphQL takes them in and shows them: the parts that need nothing but themselves."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import strawberry
from strawberry import UNSET

from schema.cursor import Cursor
from schema.graphql.event import SignCursor
from schema.graphql.filters import EventFilter, filter_document
from schema.graphql.folding import ReducerInput, reducer_documents
from schema.graphql.interfaces import Node
from schema.graphql.scalars import JSON, CursorText, ExpressionText, Long
from schema.projections.declared import Mode

strawberry.enum(
    Mode, name="ProjectionMode", description="When events are applied: all the time, or when somebody reads."
)


@strawberry.enum(description="How the version that is read stands.")
class ProjectionStatus(StrEnum):
    """BUILDING: it never reached the log's end yet; FAILED: it stands still at an event it cannot apply."""

    BUILDING = "BUILDING"
    LIVE = "LIVE"
    PAUSED = "PAUSED"
    FAILED = "FAILED"


@strawberry.enum(
    description=(
        "RESET: forget all rows, they come anew as UPSERTs; CAUGHT_UP: all that was is told, what follows is live"
    )
)
class ChangeKind(StrEnum):
    """What became of a row, or of all."""

    UPSERT = "UPSERT"
    DELETE = "DELETE"
    RESET = "RESET"
    CAUGHT_UP = "CAUGHT_UP"


@strawberry.input
class ProjectionInput:
    """A projection to declare."""

    name: str
    streams: list[str] | None = strawberry.field(
        default=UNSET, description="ledger streams; left out: all there are and will be"
    )
    where: EventFilter | None = UNSET
    key: ExpressionText = strawberry.field(
        description="which row an event belongs to: a text, a whole number, true or false; null: to none"
    )
    reducers: list[ReducerInput]
    indexes: list[str] | None = strawberry.field(default=UNSET, description="dotted paths kept as indexed columns")
    history: bool | None = strawberry.field(default=True, description="keep old row versions for as-of reads")
    mode: Mode | None = Mode.BACKGROUND

    def said(self) -> dict[str, Any]:
        """As `schema.projections.declared.parse_declaration` takes it."""
        plain = {
            name: value
            for name in ("name", "streams", "key", "indexes", "history", "mode")
            if (value := getattr(self, name)) is not UNSET
        }
        if self.where is not UNSET and self.where is not None:
            plain["where"] = filter_document(self.where)
        return {**plain, "reducers": reducer_documents(self.reducers)}


@strawberry.type(description="why a version stands still; `resumeProjection` tries that event again")
class ProjectionError:
    """The event that could not be applied."""

    version: int
    code: str
    message: str
    event_id: strawberry.ID | None
    position: Long | None


@strawberry.type(description="a version that is built to take over once it has caught up with the one that is read")
class ProjectionBuild:
    """The rebuild under way."""

    version: int
    status: ProjectionStatus
    applied: CursorText
    lag: Long


@strawberry.type
class ProjectionRow(Node):
    """One row. The id of a row of the past names its place too, so that caches keep both."""

    id: strawberry.ID
    key: strawberry.ID
    value: JSON
    updated_at: datetime = strawberry.field(description="recordedAt of the event that changed it last")
    cursor: CursorText = strawberry.field(description="right after that event")


@strawberry.type
class ProjectionRowEdge:
    """A row in a page."""

    node: ProjectionRow
    cursor: str


@strawberry.type
class ProjectionChange:
    """One thing a projection's subscription says. `place`: where to go on after it."""

    kind: ChangeKind
    key: strawberry.ID | None
    row: ProjectionRow | None
    place: strawberry.Private[Cursor]
    sign: strawberry.Private[SignCursor]

    @strawberry.field(description="going on from here continues right after this change")
    def cursor(self) -> CursorText:
        """Signed when it is selected."""
        return CursorText(self.sign(self.place))


__all__ = [
    "ChangeKind",
    "Mode",
    "ProjectionBuild",
    "ProjectionChange",
    "ProjectionError",
    "ProjectionInput",
    "ProjectionRow",
    "ProjectionRowEdge",
    "ProjectionStatus",
]
