"""A moment of the past, as GraphQL takes it in."""

from datetime import datetime

import strawberry
from strawberry import UNSET

from schema.graphql.scalars import CursorText, Long


@strawberry.input(
    one_of=True,
    description=(
        "`sequenceNumber`: after that event of the aggregate; `recordedAt`: what was known then; `happenedAt`: what had"
        " happened then, as is known now; `cursor`: what lies before it"
    ),
)
class Moment:
    """Exactly one of its fields."""

    sequence_number: Long | None = UNSET
    recorded_at: datetime | None = UNSET
    happened_at: datetime | None = UNSET
    cursor: CursorText | None = UNSET
