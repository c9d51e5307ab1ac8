"""A GraphQL request as it arrives: variables stay bytes until it is known how the operation runs."""

import msgspec

from schema.errors import bad_input

_NOTHING = msgspec.Raw(b"null")


class Resume(msgspec.Struct):
    """`cursor`: where to go on, overriding `from`: clients that reconnect send their old variables again."""

    cursor: str | None = None


class PersistedQuery(msgspec.Struct, rename={"sha256_hash": "sha256Hash"}):
    """A client that would rather send the SHA-256 of a document, in lower-case hexadecimal, than the document."""

    sha256_hash: str
    version: int = 1


class Extensions(msgspec.Struct, rename={"persisted_query": "persistedQuery", "operation_id": "operationId"}):
    """What a request may say beside the specification; other entries are left alone. `operation_id`: what its messages
    are called on an event stream that carries many operations."""

    resume: Resume | None = None
    persisted_query: PersistedQuery | None = None
    operation_id: str | None = None


class GraphQLRequest(msgspec.Struct, rename={"operation_name": "operationName", "document_id": "documentId"}):
    """One request (GraphQL over HTTP, "Request Parameters" and "Persisted Documents"). `variables`: a JSON object or
    null, not decoded yet."""

    query: str | None = None
    operation_name: str | None = None
    variables: msgspec.Raw = _NOTHING
    extensions: Extensions | None = None
    document_id: str | None = None

    @property
    def persisted(self) -> PersistedQuery | None:
        """What it says of hashes."""
        return self.extensions.persisted_query if self.extensions is not None else None

    @property
    def document(self) -> str:
        """What names the document: its text, else its id or its hash; raises BAD_INPUT where nothing does."""
        if self.query is not None:
            return self.query
        if self.document_id is not None:
            return self.document_id
        if self.persisted is not None:
            return self.persisted.sha256_hash
        raise bad_input("a request needs a query")

    @property
    def resume(self) -> str | None:
        """The cursor a subscription is asked to go on from."""
        return self.extensions.resume.cursor if self.extensions and self.extensions.resume else None

    def resume_from(self, cursor: str | None) -> None:
        """Go on from the cursor a reconnecting EventSource sends (Last-Event-ID), if it sends one."""
        if cursor:
            self.extensions = self.extensions or Extensions()
            self.extensions.resume = Resume(cursor)


_decoder = msgspec.json.Decoder(GraphQLRequest)
_variables_decoder = msgspec.json.Decoder(dict[str, object] | None)
_extensions_decoder = msgspec.json.Decoder(Extensions | None)


def decode_request(body: bytes | msgspec.Raw) -> GraphQLRequest:
    """The request in a POST body or a socket's message; raises BAD_INPUT for what is not one."""
    try:
        request = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_input(f"the body is not a GraphQL request: {error}") from None
    if bytes(memoryview(request.variables)[:1]) not in (b"{", b"n"):
        raise bad_input("variables must be a JSON object")
    return request


def request_from_query(parameters: dict[str, str]) -> GraphQLRequest:
    """The request in a URL's query (GET); raises BAD_INPUT."""
    try:
        extensions = _extensions_decoder.decode(parameters.get("extensions") or "null")
    except (msgspec.MsgspecError, RecursionError) as error:
        raise bad_input(f"extensions must be a JSON object: {error}") from None
    variables = (parameters.get("variables") or "null").strip().encode()
    if not variables.startswith((b"{", b"null")):
        raise bad_input("variables must be a JSON object")
    return GraphQLRequest(
        parameters.get("query"),
        parameters.get("operationName") or None,
        msgspec.Raw(variables),
        extensions,
        parameters.get("documentId"),
    )


def decode_variables(raw: msgspec.Raw) -> dict[str, object]:
    """The variables as Python values; raises BAD_INPUT."""
    try:
        return _variables_decoder.decode(raw) or {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_input(f"the variables are not usable JSON: {error}") from None
