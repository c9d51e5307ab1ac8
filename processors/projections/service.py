"""Projections as the resolvers use them."""

from typing import NamedTuple

from processors.projections.admin import ProjectionAdmin
from processors.projections.queries import ProjectionQueries


class Projections(NamedTuple):
    """The use cases."""

    admin: ProjectionAdmin
    queries: ProjectionQueries
