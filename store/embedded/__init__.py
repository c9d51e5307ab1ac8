"""The PostgreSQL that comes with the package: no service to install."""

from store.embedded.postmaster import EmbeddedPostgresError as EmbeddedPostgresError
from store.embedded.server import EmbeddedPostgres as EmbeddedPostgres
from store.embedded.server import attach as attach
