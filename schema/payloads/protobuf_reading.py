"""Whether what one Protobuf definition writes can be read with another.

Field numbers are what a field is; rules after protobuf.dev ("Updating A Message Type") and named as Confluent's
protobuf-provider names them. Payloads are kept in the JSON mapping, where names matter: a field that was renamed is a
problem here, though the wire format would not mind.
"""

from typing import TYPE_CHECKING

from schema.payloads.declared import Incompatibility
from schema.payloads.protobuf import root

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

# Types whose values may be read as each other's, by the numbers of FieldDescriptorProto.Type.
_INT64, _UINT64, _INT32, _FIXED64, _FIXED32, _BOOL, _STRING = 3, 4, 5, 6, 7, 8, 9
_BYTES, _UINT32, _ENUM, _SFIXED32, _SFIXED64, _SINT32, _SINT64 = 12, 13, 14, 15, 16, 17, 18
_ALIKE = (
    frozenset({_INT32, _UINT32, _INT64, _UINT64, _BOOL, _ENUM}),
    frozenset({_SINT32, _SINT64}),
    frozenset({_FIXED32, _SFIXED32}),
    frozenset({_FIXED64, _SFIXED64}),
    frozenset({_STRING, _BYTES}),
)
_WORDS = [
    "nothing",
    "double",
    "float",
    "int64",
    "uint64",
    "int32",
    "fixed64",
    "fixed32",
    "bool",
    "string",
    "group",
    "message",
    "bytes",
    "uint32",
    "enum",
    "sfixed32",
    "sfixed64",
    "sint32",
    "sint64",
]


def problems(reader: bytes, writer: bytes) -> list[Incompatibility]:
    """Why `reader` may refuse what `writer` writes; both as compiled."""
    return list(dict.fromkeys(_Comparison().messages(root(reader), root(writer), "")))


class _Comparison:
    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def messages(self, reader: "Descriptor", writer: "Descriptor", path: str) -> list[Incompatibility]:
        if (pair := (reader.full_name, writer.full_name)) in self._seen:
            return []
        self._seen.add(pair)
        was = {field.number: field for field in writer.fields}
        numbers = {field.name: field.number for field in reader.fields}
        found: list[Incompatibility] = []
        for field in reader.fields:
            below = f"{path}.{field.name}" if path else field.name
            if (written := was.pop(field.number, None)) is not None:
                found += self._field(field, written, below)
            elif field.is_required:
                message = f"{field.name!r} is required: what was written without it cannot be read"
                found.append(Incompatibility(below, "REQUIRED_FIELD_ADDED", message))
        for gone in was.values():
            below = f"{path}.{gone.name}" if path else gone.name
            if gone.name in numbers:
                message = f"is field {numbers[gone.name]}, and was {gone.number}"
                found.append(Incompatibility(below, "FIELD_NUMBER_CHANGED", message))
            elif gone.containing_oneof is not None and not _optional(gone):
                message = "was removed from its oneof: older payloads may have chosen it"
                found.append(Incompatibility(below, "ONEOF_FIELD_REMOVED", message))
            elif gone.is_required:
                found.append(Incompatibility(below, "REQUIRED_FIELD_REMOVED", "was required, and was removed"))
        return found

    def _field(self, reader: "FieldDescriptor", writer: "FieldDescriptor", path: str) -> list[Incompatibility]:
        if reader.json_name != writer.json_name:
            message = f"field {reader.number} is {reader.name!r}, and was {writer.name!r}: JSON goes by the name"
            return [Incompatibility(path, "FIELD_NAME_CHANGED", message)]
        now, was = reader.type, writer.type
        if now != was and not any(now in alike and was in alike for alike in _ALIKE):
            rule = "FIELD_KIND_CHANGED" if 11 in (now, was) else "FIELD_SCALAR_KIND_CHANGED"
            return [Incompatibility(path, rule, f"is {_WORDS[now]}, and was {_WORDS[was]}")]
        if reader.is_repeated != writer.is_repeated:
            said = "is a list, and was none" if reader.is_repeated else "is no list, and was one"
            return [Incompatibility(path, "FIELD_LABEL_CHANGED", said)]
        if now == _ENUM and was == _ENUM:
            return _enum(reader.enum_type, writer.enum_type, path)
        if reader.message_type is not None and writer.message_type is not None:
            if _base(reader.message_type) != _base(writer.message_type):
                message = f"is {reader.message_type.full_name}, and was {writer.message_type.full_name}"
                return [Incompatibility(path, "FIELD_NAMED_TYPE_CHANGED", message)]
            return self.messages(reader.message_type, writer.message_type, path + "[]" * reader.is_repeated)
        return []


def _optional(field: "FieldDescriptor") -> bool:
    """Whether its oneof is the one proto3 makes for `optional`."""
    oneof = field.containing_oneof
    return oneof is not None and len(oneof.fields) == 1 and oneof.name == f"_{field.name}"


def _base(message: "Descriptor") -> str:
    return str(message.name)


def _enum(reader: "EnumDescriptor", writer: "EnumDescriptor", path: str) -> list[Incompatibility]:
    known = {value.name for value in reader.values}
    lost = [value.name for value in writer.values if value.name not in known]
    if not lost:
        return []
    return [Incompatibility(path, "ENUM_CONST_REMOVED", f"has no value {', '.join(lost)} any more")]
