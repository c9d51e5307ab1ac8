"""Streams, routes and aggregate types as configured."""

from store.registry.cache import StreamCache as StreamCache
from store.registry.cache import TenantView as TenantView
from store.registry.registry import Registry as Registry
