"""A definition's text to something that can be compared and applied, whatever its format."""

import asyncio

from processors.schemas.protoc import compiled
from schema.payloads import avro, json_schema, protobuf
from schema.payloads.declared import Definition, SchemaFormat


async def read(format: SchemaFormat, text: str) -> Definition:
    """The definition, checked. Raises BAD_INPUT, PAYLOAD_TOO_LARGE, TIMEOUT."""
    if format is SchemaFormat.PROTOBUF:
        return protobuf.read(text, await compiled(text))
    reading = json_schema.read if format is SchemaFormat.JSON_SCHEMA else avro.read
    # a large one takes longer than the loop's other work may wait
    return await asyncio.to_thread(reading, text)
