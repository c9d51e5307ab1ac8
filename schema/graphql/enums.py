"""The contract's enums: those of the vocabulary under their own names, and those only GraphQL speaks of."""

from enum import StrEnum

import strawberry

from schema.errors import ErrorCode
from schema.payloads.declared import Compatibility, SchemaFormat
from schema.stream import CleanupPolicy, Compression, SchemaEnforcement, StreamEngine

strawberry.enum(ErrorCode, description="The reason of a failure; may grow.")
strawberry.enum(StreamEngine, description="Where a stream's commit happens.")
strawberry.enum(Compression, description="Compression of the stream's Kafka topic.")
strawberry.enum(CleanupPolicy, description="Cleanup policy of the stream's Kafka topic.")
strawberry.enum(SchemaEnforcement, description="What happens to an event whose payload is not what its schema says.")
strawberry.enum(SchemaFormat, description="The language a schema is written in.")
strawberry.enum(Compatibility, description="What a new version of a schema owes the older ones.")


@strawberry.enum(description="In which direction a log is read.")
class Order(StrEnum):
    """Ascending: as committed."""

    ASC = "ASC"
    DESC = "DESC"


@strawberry.enum(
    description="What happens to a live subscriber that reads too slowly. DROP_OLDEST: feed and eventBatches only."
)
class Overflow(StrEnum):
    """DISCONNECT: an error with the cursor to go on from. CONFLATE: the newest event of each aggregate."""

    DISCONNECT = "DISCONNECT"
    DROP_OLDEST = "DROP_OLDEST"
    CONFLATE = "CONFLATE"


__all__ = [
    "CleanupPolicy",
    "Compatibility",
    "Compression",
    "ErrorCode",
    "Order",
    "Overflow",
    "SchemaEnforcement",
    "SchemaFormat",
    "StreamEngine",
]
