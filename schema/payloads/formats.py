"""The three formats behind one face: applying a definition, and comparing two."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from schema.payloads import avro, avro_reading, json_reading, json_schema, protobuf, protobuf_reading
from schema.payloads.declared import (
    Compatibility,
    Definition,
    Incompatibility,
    Problem,
    SchemaFormat,
    SchemaVersion,
    Violation,
)


class Validator(Protocol):
    """Applies one definition to payloads, decoded."""

    def accepts(self, payload: Any) -> bool:
        """Whether it is what the definition says."""

    def violations(self, payload: Any) -> list[Violation]:
        """What is wrong with it; nothing where all is well."""


def validator(format: SchemaFormat, text: str, compiled: bytes | None) -> Validator:
    """What applies a definition that was read before."""
    match format:
        case SchemaFormat.JSON_SCHEMA:
            return json_schema.validator(json_schema.document_of(text))
        case SchemaFormat.AVRO:
            return avro.validator(text)
        case SchemaFormat.PROTOBUF:
            assert compiled is not None, "a Protobuf definition is kept with what protoc made of it"
            return protobuf.ProtobufValidator(compiled)


def problems(new: Definition, older: Sequence[SchemaVersion], level: Compatibility) -> list[Problem]:
    """What keeps a new version from being registered at a level. `older`: in the order they were registered.

    Raises TOO_COMPLEX.
    """
    if level is Compatibility.NONE:
        return []
    against = older if level.endswith("_TRANSITIVE") else older[-1:]
    found: list[Problem] = []
    for version in reversed(against):
        found += _against(new, version, level)
    return found


def _against(new: Definition, version: SchemaVersion, level: Compatibility) -> Iterable[Problem]:
    old = version.definition
    if old.format is not new.format:
        message = f"the format is {new.format.value}, and was {old.format.value}"
        yield Problem(against_version=version.version, path="", rule="FORMAT_CHANGED", message=message)
        return
    if level.startswith(("BACKWARD", "FULL")):
        for one in _reading(new, old):
            yield Problem(against_version=version.version, path=one.path, rule=one.rule, message=one.message)
    if level.startswith(("FORWARD", "FULL")):
        for one in _reading(old, new):
            message = f"read with version {version.version}: {one.message}"
            yield Problem(against_version=version.version, path=one.path, rule=one.rule, message=message)


def _reading(reader: Definition, writer: Definition) -> list[Incompatibility]:
    """Why payloads of `writer` may be refused by `reader`, both of one format."""
    match reader.format:
        case SchemaFormat.JSON_SCHEMA:
            return json_reading.problems(json_schema.document_of(reader.text), json_schema.document_of(writer.text))
        case SchemaFormat.AVRO:
            return avro_reading.problems(avro.parsed(reader.text), avro.parsed(writer.text))
        case SchemaFormat.PROTOBUF:
            return protobuf_reading.problems(reader.compiled or b"", writer.compiled or b"")
