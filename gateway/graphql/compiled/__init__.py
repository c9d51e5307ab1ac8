"""Queries compiled: from arguments to the use case and from what it finds to what is encoded, by closures."""

from gateway.graphql.compiled.items import Encode, Items
from gateway.graphql.compiled.query_plan import QueryPlan, plan_query
from gateway.graphql.compiled.run import Unfit

__all__ = ["Encode", "Items", "QueryPlan", "Unfit", "plan_query"]
