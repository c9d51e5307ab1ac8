"""The .proto compiler, as a program of its own: what it is given comes from outside, and may not hang or end us."""

import asyncio
import base64
import binascii
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schema.errors import ErrorCode, EsbError, bad_input
from schema.payloads.limits import check_size
from schema.payloads.protobuf import MAIN

_SECONDS = 20.0
_ABSL = re.compile(r"^(WARNING: All log messages|[IWE]\d{4} ).*$", re.MULTILINE)
_at_once = asyncio.Semaphore(2)


async def compiled(text: str) -> bytes:
    """A serialized FileDescriptorSet of a definition and what it imports, its own file last.

    `text`: .proto source, or (as serializers of generated code register it) a FileDescriptorProto in base 64. Imports
    are found among protobuf's own files only. Raises BAD_INPUT, PAYLOAD_TOO_LARGE, TIMEOUT.
    """
    check_size(text)
    async with _at_once:
        with tempfile.TemporaryDirectory(prefix="esb-protoc-") as folder:
            source = _source(text, Path(folder))
            return await _run(Path(folder), source)


def _source(text: str, folder: Path) -> list[str]:
    """What protoc is told to read: the text, or the descriptor it is."""
    descriptor = _descriptor(text)
    if descriptor is None:
        (folder / MAIN).write_text(text, encoding="utf-8", errors="replace")
        return []
    (folder / "given.bin").write_bytes(descriptor)
    return [f"--descriptor_set_in={folder / 'given.bin'}"]


def _descriptor(text: str) -> bytes | None:
    """A FileDescriptorProto in base 64 as a set that protoc finds under our name; None: it is source."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
    from google.protobuf.message import DecodeError

    try:
        file = FileDescriptorProto.FromString(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, DecodeError, ValueError):
        return None
    file.name = MAIN
    given: bytes = FileDescriptorSet(file=[*_imported(file.dependency), file]).SerializeToString()
    return given


def _imported(names: Iterable[str]) -> list[Any]:
    """The descriptors of protobuf's own files, with what those import, which is only each other."""
    import importlib

    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    found: dict[str, Any] = {}
    for name in names:
        if not re.fullmatch(r"google/protobuf/[a-z_]+\.proto", name):
            raise bad_input(
                f"the definition imports {str(name)[:200]!r}: only google/protobuf/* is there", field="definition"
            )
        try:
            module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        except ImportError:
            raise bad_input(f"the definition imports {name!r}, which is not there", field="definition") from None
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for inner in _imported(file.dependency):
            found.setdefault(inner.name, inner)
        found.setdefault(name, file)
    return list(found.values())


async def _run(folder: Path, source: list[str]) -> bytes:
    target = folder / "compiled.bin"
    arguments = source or [f"--proto_path={folder}"]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "grpc_tools.protoc", *arguments, "--include_imports", f"--descriptor_set_out={target}", MAIN),
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONSAFEPATH": "1"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(child.communicate(), _SECONDS)
    except TimeoutError:
        raise EsbError(ErrorCode.TIMEOUT, "the definition took too long to compile") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise bad_input(f"the definition is not a .proto file: {_plain(said, folder)}", field="definition")
    return target.read_bytes()


def _plain(said: bytes, folder: Path) -> str:
    """protoc's complaint without our folders and its own log."""
    text = _ABSL.sub("", said.decode(errors="replace")).replace(f"{folder}/", "")
    return " ".join(text.split())[:500] or "protoc gives no reason"
