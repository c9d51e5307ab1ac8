"""The ledger's server-side routines, in the order they are put in place."""

from pathlib import Path

_LEDGER = Path(__file__).parent / "ledger"

ROUTINES = (_LEDGER / "partitions.sql", _LEDGER / "append.sql")
