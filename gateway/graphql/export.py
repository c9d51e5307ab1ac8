"""Writes the served schema to schema/schema.graphql; `--check` only says whether it stands there as it is served.

Run as `python -m gateway.graphql.export [--check]`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from resolvers.schema import strawberry_schema

TARGET = Path(__file__).parents[2] / "schema" / "schema.graphql"
_HEAD = "# Written by `python -m gateway.graphql.export`: change the types, not this file.\n\n"


def sdl() -> str:
    """The schema as text."""
    return _HEAD + strawberry_schema().as_str() + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write or check; the exit status."""
    if "--check" not in arguments:
        TARGET.write_text(sdl(), encoding="utf-8")
        return 0
    if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == sdl():
        return 0
    sys.stderr.write("schema/schema.graphql is not what is served: run `python -m gateway.graphql.export`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
