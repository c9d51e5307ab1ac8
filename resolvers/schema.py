"""The schema that is served: the contract, as far as it works."""

from functools import cache

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from resolvers.mutation import Mutation
from resolvers.query import Query
from resolvers.subscription import Subscription
from schema.graphql.live import CaughtUp, Gap, Progress
from schema.graphql.scalars import SCALARS


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
