"""The ledger's server-side routines, in the order they are put in place.

A routine whose arguments or answer change gets the next number in its name: while a new version of the program rolls
out, the old one still calls the old routine.
"""

from hashlib import sha256
from pathlib import Path

_LEDGER = Path(__file__).parent / "ledger"

ROUTINES = tuple(_LEDGER / f"{name}.sql" for name in ("partitions", "instant", "insert", "append"))

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def fingerprint() -> str:
    """Stands for every revision and routine of this version of the program."""
    digest = sha256()
    for file in (*sorted(_VERSIONS.glob("*.py")), *ROUTINES):
        digest.update(file.read_bytes())
    return digest.hexdigest()
