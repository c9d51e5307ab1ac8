"""Protocol Buffers: what protoc made of a definition, and applying it to payloads in the JSON mapping.

The first message of the file is the payload's (protobuf.dev, "ProtoJSON Format"). The .proto text itself is read by
protoc, which is a program: see processors.schemas.protoc. Here begins what needs no I/O.
"""

from typing import TYPE_CHECKING, Any

from schema.errors import bad_input
from schema.payloads.declared import Definition, SchemaFormat, Violation
from schema.payloads.limits import check_size

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

MAIN = "schema.proto"
"""The name protoc knows a definition's own file by."""

_MAX_DEPTH = 100


def read(text: str, compiled: bytes) -> Definition:
    """A definition from its text and what protoc made of it, imports included. Raises BAD_INPUT, PAYLOAD_TOO_LARGE."""
    check_size(text)
    root(compiled)
    return Definition(
        format=SchemaFormat.PROTOBUF,
        text=text,
        canonical=canonical(main_file(compiled)),
        compiled=compiled,
    )


def main_file(compiled: bytes) -> "FileDescriptorProto":
    """The definition's own file: the last of the set, after what it imports."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    return FileDescriptorSet.FromString(compiled).file[-1]


def canonical(file: "FileDescriptorProto") -> bytes:
    """The same for one definition whether it came as text or as a descriptor, which says less: a descriptor made by
    generated code has no JSON names and no comments.
    """
    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

    plain = FileDescriptorProto()
    plain.CopyFrom(file)
    plain.name = ""
    plain.ClearField("source_code_info")
    plain.ClearField("options")  # of the languages it is generated for

    def strip(message: DescriptorProto) -> None:
        for field in message.field:
            if field.json_name == _json_name(field.name):
                field.ClearField("json_name")
        for inner in message.nested_type:
            strip(inner)

    for message in plain.message_type:
        strip(message)
    said: bytes = plain.SerializeToString(deterministic=True)
    return said


def root(compiled: bytes) -> "Descriptor":
    """The payload's message. Raises BAD_INPUT where the file has none, or protobuf's runtime refuses it."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool()
    files = FileDescriptorSet.FromString(compiled).file
    if not files or not files[-1].message_type:
        raise bad_input("the definition has no message: the first one is the payload's", field="definition")
    try:
        for file in files:
            pool.AddSerializedFile(file.SerializeToString())
        package = files[-1].package
        name = files[-1].message_type[0].name
        found: Descriptor = pool.FindMessageTypeByName(f"{package}.{name}" if package else name)
    except (TypeError, KeyError) as error:
        raise bad_input(f"the definition cannot be used: {error}", field="definition") from None
    return found


class ProtobufValidator:
    """Applies one definition to payloads, decoded from JSON."""

    def __init__(self, compiled: bytes) -> None:
        from google.protobuf import json_format
        from google.protobuf.message_factory import GetMessageClass

        self._message: Any = GetMessageClass(root(compiled))
        self._parse = json_format.ParseDict
        # recursion, wrong keys and the like come out as what Python makes of them
        self._failures = (json_format.ParseError, TypeError, ValueError, AttributeError, RecursionError)

    def accepts(self, payload: Any) -> bool:
        """Whether it is the message in the JSON mapping."""
        return not self.violations(payload)

    def violations(self, payload: Any) -> list[Violation]:
        """What is wrong with it: the first thing only, as the runtime stops there."""
        if not isinstance(payload, dict):
            return [Violation("", f"is not an object, as {self._message.DESCRIPTOR.full_name} is")]
        try:
            self._parse(payload, self._message(), max_recursion_depth=_MAX_DEPTH)
        except self._failures as error:
            said = str(error)
            return [Violation(_place(said), said[:300])]
        return []


def _place(said: str) -> str:
    """The field a message of the runtime names."""
    parts = []
    while said.startswith("Failed to parse ") and " field: " in said:
        name, _, said = said.removeprefix("Failed to parse ").partition(" field: ")
        parts.append(name)
    return ".".join(parts)


def _json_name(name: str) -> str:
    """The JSON name protoc gives a field where the definition says none."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
