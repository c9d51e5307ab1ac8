"""The interfaces of the contract, and the page information of its connections."""

import strawberry

from schema.graphql.scalars import CursorText


@strawberry.interface(description="What a client caches, by its global id.")
class Node:
    """Anything `node(id)` finds."""

    id: strawberry.ID


@strawberry.interface(description="One thing a `feed` says.")
class FeedItem:
    """Events, and what a feed says between them."""

    cursor: CursorText


@strawberry.type
class PageInfo:
    """Relay's page information (relay.dev/graphql/connections.htm)."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None = None
    end_cursor: str | None = None
