"""Registering schemas, and asking for them."""
