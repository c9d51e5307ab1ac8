"""Schemas in GraphQL: looked up, registered, checked."""

import strawberry
from strawberry import UNSET, Info

from resolvers.arguments import count_of, given
from resolvers.context import Context
from resolvers.event import DEFAULT_PAGE
from schema.cursor import CursorInvalid, PageCursor
from schema.errors import bad_input
from schema.event import MAX_PAGE
from schema.graphql.enums import Compatibility, SchemaFormat
from schema.graphql.folding import operation_documents
from schema.graphql.interfaces import PageInfo
from schema.graphql.schemas import (
    CompatibilityReport,
    SchemaInput,
    SchemaVersion,
    SchemaVersionConnection,
    SchemaVersionEdge,
    UpcasterInput,
)

_LIST = "schemas"


@strawberry.type
class SchemaQuery:
    """The part of `Query` about schemas."""

    @strawberry.field(description="the registered schemas, of one event type or of all, by type and age")
    async def schemas(
        self,
        info: Info[Context, None],
        event_type: str | None = UNSET,
        first: int | None = DEFAULT_PAGE,
        after: str | None = UNSET,
    ) -> SchemaVersionConnection:
        """A page of them."""
        context, count = info.context, count_of(first, DEFAULT_PAGE)
        if count > MAX_PAGE:
            raise bad_input(f"first must be between 1 and {MAX_PAGE}, not {count}", field="first")
        codec, tenant = context.services.codec, context.principal.tenant
        last = None if not given(after) else _place(codec.decode_page(tenant, str(after)))
        found = await context.services.schemas.page(context.principal, given(event_type), last, count + 1)
        edges = [
            SchemaVersionEdge(
                node=SchemaVersion.of(one),
                cursor=codec.encode_page(tenant, PageCursor(0, 0, (_LIST, one.event_type, one.number))),
            )
            for one in found[:count]
        ]
        return SchemaVersionConnection(
            nodes=[edge.node for edge in edges],
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(found) > count,
                has_previous_page=last is not None,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )

    @strawberry.field(description="one version of an event type's schema; left out: the newest")
    async def schema(
        self, info: Info[Context, None], event_type: str, version: str | None = UNSET
    ) -> SchemaVersion | None:
        """One version."""
        found = await info.context.services.schemas.one(info.context.principal, event_type, given(version))
        return None if found is None else SchemaVersion.of(found)


@strawberry.type
class SchemaMutation:
    """The part of `Mutation` about schemas."""

    @strawberry.mutation(description="register a version; refused where it breaks the type's compatibility")
    async def register_schema(self, info: Info[Context, None], schema: SchemaInput) -> SchemaVersion:
        """Said again as it stands, it is the one there is."""
        made = await info.context.services.schemas.register(
            info.context.principal, schema.event_type, schema.version, _format(schema), schema.definition
        )
        return SchemaVersion.of(made)

    @strawberry.mutation(description="what registering would say; changes nothing")
    async def check_schema(self, info: Info[Context, None], schema: SchemaInput) -> CompatibilityReport:
        """Compared as the type's level wants it."""
        problems = await info.context.services.schemas.check(
            info.context.principal, schema.event_type, _format(schema), schema.definition
        )
        return CompatibilityReport.of(problems)

    @strawberry.mutation(description="what new versions of the type owe the older ones; those there are stay")
    async def set_compatibility(
        self, info: Info[Context, None], event_type: str, level: Compatibility
    ) -> SchemaVersion:
        """Answers with the type's newest version."""
        found = await info.context.services.schemas.set_level_of(info.context.principal, event_type, level)
        return SchemaVersion.of(found)

    @strawberry.mutation(description="what new versions owe the older ones where the type says nothing of its own")
    async def set_default_compatibility(self, info: Info[Context, None], level: Compatibility) -> Compatibility:
        """The tenant's default; BACKWARD until it is set."""
        await info.context.services.schemas.set_level(info.context.principal, None, level)
        return level

    @strawberry.mutation(description="how payloads of an older version are read in the shape of a later one")
    async def register_upcaster(self, info: Info[Context, None], upcaster: UpcasterInput) -> SchemaVersion:
        """Replaces the one from the same version; answers with the version it leads to."""
        after = await info.context.services.schemas.register_upcaster(
            info.context.principal,
            upcaster.event_type,
            upcaster.from_version,
            upcaster.to_version,
            operation_documents(upcaster.operations),
        )
        return SchemaVersion.of(after)


async def schema_node(context: Context, id: str) -> SchemaVersion | None:
    """The version with that global id, where the caller may read."""
    found = await context.services.schemas.by_id(context.principal, id)
    return None if found is None else SchemaVersion.of(found)


def _format(said: SchemaInput) -> SchemaFormat:
    return said.format or SchemaFormat.JSON_SCHEMA


def _place(page: PageCursor) -> tuple[str, int]:
    match page.last:
        case (str(listed), str(event_type), int(number)) if listed == _LIST:
            return event_type, number
    raise CursorInvalid("it is from another list")
