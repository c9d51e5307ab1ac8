"""Projections as the resolvers use them."""

from typing import NamedTuple

from processors.projections.admin import ProjectionAdmin
from processors.projections.live import LiveProjections
from processors.projections.queries import ProjectionQueries


class Projections(NamedTuple):
    """The use cases."""

    admin: ProjectionAdmin
    queries: ProjectionQueries
    live: LiveProjections
