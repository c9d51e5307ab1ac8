"""The words of the schema registry: formats, levels of compatibility, and what was registered."""

from datetime import datetime
from enum import StrEnum

import msgspec

from schema.stream import SchemaEnforcement as SchemaEnforcement


class SchemaFormat(StrEnum):
    """The language a definition is written in."""

    JSON_SCHEMA = "JSON_SCHEMA"
    AVRO = "AVRO"
    PROTOBUF = "PROTOBUF"


class Compatibility(StrEnum):
    """What a new version owes the older ones, in Confluent's words: who must be able to read whose payloads.

    BACKWARD: the new version reads the newest older one's. FORWARD: the newest older one reads the new one's. FULL:
    both. `_TRANSITIVE`: with every older version.
    """

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"


DEFAULT_COMPATIBILITY = Compatibility.BACKWARD


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition that was read and found good.

    `canonical`: equal for definitions that differ only in how they are written; empty where it was read back from the
    store, which keeps its SHA-256 (a version's `fingerprint`). `compiled`: what validators are made
    of where the text is not enough (Protobuf: a serialized FileDescriptorSet). `personal_paths`: dotted.
    """

    format: SchemaFormat
    text: str
    canonical: bytes
    compiled: bytes | None = None
    personal_paths: tuple[str, ...] = ()


class SchemaVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One registered version.

    `key` grows with every registration of the installation; `number` counts a type's versions from 1; `definition_id`
    names the text, and is the id of Confluent's API; `fingerprint` is the definition's.
    """

    key: int
    tenant: str
    schema_id: str
    event_type: str
    version: str
    number: int
    definition_id: int
    fingerprint: bytes
    definition: Definition
    compatibility: Compatibility
    registered_at: datetime


class Violation(msgspec.Struct, frozen=True):
    """Where a payload is not what its schema says (a dotted path, "" for the whole), and why."""

    path: str
    message: str


class Incompatibility(msgspec.Struct, frozen=True):
    """Why a reader's definition may refuse what a writer's allows. `path`: dotted, into the payload."""

    path: str
    rule: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An incompatibility with one of the older versions."""

    against_version: str
    path: str
    rule: str
    message: str
