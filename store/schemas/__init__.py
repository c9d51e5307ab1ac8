"""Schemas of event types, as registered."""

from store.schemas.cache import SchemaCache as SchemaCache
from store.schemas.rows import SchemaRows as SchemaRows
