"""Trusted documents: the list of operations an installation's own clients were built with.

Three formats are read: Apollo's operation manifest, version 1 (www.apollographql.com/docs/kotlin/advanced/
operation-safelisting), and JSON objects of id → text as Relay and GraphQL Code Generator (`persisted-documents.json`)
write them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import structlog

from gateway.graphql.persisted import hash_of
from schema.errors import bad_input

MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_MAX_TOLD = 1000
_SHA256 = "sha256:"

_log = structlog.get_logger(__name__)


class _Listed(msgspec.Struct):
    id: str
    body: str


class _ApolloManifest(msgspec.Struct, tag_field="format", tag="apollo-persisted-query-manifest"):
    version: int
    operations: list[_Listed]


class _Any(msgspec.Struct):
    format: str | None = None


class TrustedDocuments:
    """The listed documents. `strict`: no other one is run; else those that are not listed are run and told in the log.

    Parameters
    ----------
    texts:
        Documents by the ids that clients send.
    """

    def __init__(self, texts: Mapping[str, str], *, strict: bool) -> None:
        self.strict = strict
        by_hash = {hash_of(text): text for text in texts.values()}
        self._by_id = {**by_hash, **texts}
        self._hashes = by_hash.keys()
        self._told: set[str] = set()

    def __len__(self) -> int:
        """How many documents are listed."""
        return len(self._hashes)

    def get(self, document_id: str) -> str | None:
        """The document of an id: the manifest's, or `sha256:` and the hash of its text."""
        text = self._by_id.get(document_id)
        if text is None and document_id.startswith(_SHA256):
            text = self._by_id.get(document_id.removeprefix(_SHA256))
        return text

    def lists(self, text: str) -> bool:
        """Whether that very text is listed; says so in the log, once for each text, where it is run all the same."""
        digest = hash_of(text)
        if digest in self._hashes:
            return True
        if not self.strict and digest not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add(digest)
            _log.warning("document is not trusted", sha256=digest, begins=text[:120])
        return False


def read_manifest(path: Path, *, strict: bool) -> TrustedDocuments:
    """The documents of a manifest file. Raises BAD_INPUT for a file that is none, or that cannot be read."""
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise bad_input(f"{path} is larger than {MAX_MANIFEST_BYTES} bytes", field="trusted_documents")
        content = path.read_bytes()
        texts = dict(_documents(content))
    except OSError as error:
        raise bad_input(f"cannot read {path}: {error.strerror}", field="trusted_documents") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_input(f"{path} is no manifest of documents: {error}", field="trusted_documents") from None
    if not texts:
        raise bad_input(f"{path} lists no documents", field="trusted_documents")
    return TrustedDocuments(texts, strict=strict)


def _documents(content: bytes) -> Iterator[tuple[str, str]]:
    try:
        apollo = msgspec.json.decode(content, type=_Any).format is not None
    except msgspec.ValidationError:
        apollo = False
    if not apollo:
        yield from msgspec.json.decode(content, type=dict[str, str]).items()
        return
    manifest = msgspec.json.decode(content, type=_ApolloManifest)
    if manifest.version != 1:
        raise msgspec.ValidationError(f"version {manifest.version} is not known")
    for one in manifest.operations:
        yield one.id, one.body
