"""What `node(id)` finds: which part of the product answers for which ids."""

from collections.abc import Awaitable, Callable

from resolvers.aggregates import aggregate_node, aggregate_type_node
from resolvers.context import Context
from resolvers.event import event_of
from resolvers.projections import projection_node
from resolvers.replays import replay_node
from resolvers.schemas import schema_node
from resolvers.stream import Stream
from schema.graphql.interfaces import Node
from schema.graphql.streams import Route

Loader = Callable[[Context, str], Awaitable[Node | None]]


async def _stream(context: Context, id: str) -> Stream | None:
    streams = await context.services.streams.list(context.principal)
    return next((Stream(stream) for stream in streams if stream.stream_id == id), None)


async def _route(context: Context, id: str) -> Route | None:
    routes = await context.services.streams.routes(context.principal)
    return next((Route.of(route) for route in routes if route.route_id == id), None)


LOADERS: dict[str, Loader] = {
    "evt_": event_of,
    "str_": _stream,
    "rte_": _route,
    "agt_": aggregate_type_node,
    "prj_": projection_node,
    "rpl_": replay_node,
    "sch_": schema_node,
}
"""By the prefix of the id, four characters long. A loader gives None for what the caller may not read."""


async def node_of(context: Context, id: str) -> Node | None:
    """Whatever has that id; what has no known prefix is an aggregate's (`Type:id`)."""
    return await LOADERS.get(id[:4], aggregate_node)(context, id)
