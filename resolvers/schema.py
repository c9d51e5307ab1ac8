"""The schema that is served: the contract, as far as it works."""

from functools import cache

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from resolvers.aggregates import AggregateMutation, AggregateQuery, AggregateSubscription
from resolvers.mutation import EventsMutation
from resolvers.projections import ProjectionMutation, ProjectionQuery, ProjectionSubscription
from resolvers.query import EventsQuery
from resolvers.replays import ReplayMutation, ReplayQuery, ReplaySubscription
from resolvers.schemas import SchemaMutation, SchemaQuery
from resolvers.subscription import EventsSubscription
from schema.graphql.live import CaughtUp, Gap, Progress
from schema.graphql.scalars import SCALARS


@strawberry.type
class Query(EventsQuery, AggregateQuery, ProjectionQuery, ReplayQuery, SchemaQuery):
    """What a client can ask. Each part of the product is one base."""


@strawberry.type
class Mutation(EventsMutation, AggregateMutation, ProjectionMutation, ReplayMutation, SchemaMutation):
    """What a client can change. Each part of the product is one base."""


@strawberry.type
class Subscription(EventsSubscription, AggregateSubscription, ProjectionSubscription, ReplaySubscription):
    """What a client can follow. Each part of the product is one base."""


@cache
def strawberry_schema() -> strawberry.Schema:
    """The schema as Strawberry made it; made once a process."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[CaughtUp, Gap, Progress],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def graphql_schema() -> GraphQLSchema:
    """The same as graphql-core executes it."""
    return strawberry_schema()._schema
