"""Whether what one Avro schema writes can be read with another: the specification's "Schema Resolution".

Rules are named as Avro's own SchemaCompatibility names them.
"""

from typing import Any

from schema.errors import ErrorCode, EsbError
from schema.payloads.avro import AvroSchema, branch_name
from schema.payloads.declared import Incompatibility

_MAX_COMPARISONS = 20_000
_PROMOTED = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}


def problems(reader: AvroSchema, writer: AvroSchema) -> list[Incompatibility]:
    """Why `reader` may refuse what `writer` writes. Raises TOO_COMPLEX."""
    return list(dict.fromkeys(_Resolution(reader, writer).of(reader.root, writer.root, "")))


class _Resolution:
    def __init__(self, reader: AvroSchema, writer: AvroSchema) -> None:
        self._reader, self._writer = reader, writer
        self._seen: set[tuple[str, str]] = set()
        self._left = _MAX_COMPARISONS

    def of(self, reader: Any, writer: Any, path: str) -> list[Incompatibility]:
        self._left -= 1
        if self._left < 0:
            raise EsbError(ErrorCode.TOO_COMPLEX, "the definitions are too large to be compared")
        reader, writer = self._reader.resolved(reader), self._writer.resolved(writer)
        if isinstance(writer, list):
            return [problem for branch in writer for problem in self.of(reader, branch, path)]
        if isinstance(reader, list):
            return self._one_of(reader, writer, path)
        now, was = _kind(reader), _kind(writer)
        if now != was:
            if now in _PROMOTED.get(was, ()):
                return []
            return [Incompatibility(path, "TYPE_MISMATCH", f"is {now}, and was {was}")]
        match now:
            case "record" | "error":
                return self._record(reader, writer, path)
            case "enum":
                return _enum(reader, writer, path)
            case "fixed":
                return _names(reader, writer, path) or _fixed(reader, writer, path)
            case "array":
                return self.of(reader["items"], writer["items"], f"{path}[]")
            case "map":
                return self.of(reader["values"], writer["values"], f"{path}.*" if path else "*")
        return []

    def _one_of(self, reader: list[Any], writer: Any, path: str) -> list[Incompatibility]:
        kept = set(self._seen)
        for branch in reader:
            self._seen = set(kept)
            if not self.of(branch, writer, path):
                return []
        self._seen = kept
        message = f"the union has no branch that reads {branch_name(writer)}"
        return [Incompatibility(path, "MISSING_UNION_BRANCH", message)]

    def _record(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
        if found := _names(reader, writer, path):
            return found
        if (pair := (reader["name"], writer["name"])) in self._seen:
            return []
        self._seen.add(pair)
        was = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            below = f"{path}.{field['name']}" if path else field["name"]
            written = next((was[name] for name in (field["name"], *field.get("aliases", ())) if name in was), None)
            if written is not None:
                found += self.of(field["type"], written["type"], below)
            elif "default" not in field:
                message = f"{field['name']!r} has no default: what was written without it cannot be read"
                found.append(Incompatibility(below, "READER_FIELD_MISSING_DEFAULT_VALUE", message))
        return found


def _kind(schema: Any) -> str:
    return schema if isinstance(schema, str) else str(schema["type"])


def _names(reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
    """Named types must share their last name, or the reader know the writer's as an alias."""
    names = {name.rpartition(".")[2] for name in (reader["name"], *reader.get("aliases", ()))}
    if writer["name"].rpartition(".")[2] in names:
        return []
    return [Incompatibility(path, "NAME_MISMATCH", f"is named {reader['name']!r}, and was {writer['name']!r}")]


def _enum(reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
    if found := _names(reader, writer, path):
        return found
    lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if lost and "default" not in reader:
        return [Incompatibility(path, "MISSING_ENUM_SYMBOLS", f"has no symbol {', '.join(lost)} any more")]
    return []


def _fixed(reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[Incompatibility]:
    if reader["size"] == writer["size"]:
        return []
    message = f"has {reader['size']} bytes, and had {writer['size']}"
    return [Incompatibility(path, "FIXED_SIZE_MISMATCH", message)]
