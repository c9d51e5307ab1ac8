"""Which document a request means: the text it sends, the hash of one sent before, or the id of a trusted one."""

from gateway.graphql.documents import Document, Documents
from gateway.graphql.persisted import PersistedQueries, hash_of
from gateway.graphql.request import GraphQLRequest, PersistedQuery
from gateway.graphql.trusted import TrustedDocuments
from schema.errors import ErrorCode, EsbError, bad_input

# clients look for this very message (Apollo Client, urql)
_NOT_FOUND = "PersistedQueryNotFound"


class AskedDocuments:
    """Finds documents for requests. `trusted`: the list that may be asked for by id; None: there is none."""

    def __init__(self, documents: Documents, trusted: TrustedDocuments | None = None) -> None:
        self._documents = documents
        self._trusted = trusted
        self._persisted = PersistedQueries()

    def get(self, request: GraphQLRequest) -> Document:
        """The document of a request; raises DocumentErrors, BAD_INPUT, PERSISTED_QUERY_NOT_FOUND, and FORBIDDEN for
        one that is not listed where only those are run."""
        if request.document_id is not None:
            return self._documents.get(self._listed(request, request.document_id))
        persisted, text = request.persisted, request.query
        if persisted is None:
            if text is None:
                raise bad_input("a request needs a query")
            self._admit(text)
            return self._documents.get(text)
        if persisted.version != 1:
            raise bad_input("the version of persistedQuery is 1")
        return self._documents.get(self._sent_before(persisted)) if text is None else self._keep(persisted, text)

    def _listed(self, request: GraphQLRequest, document_id: str) -> str:
        if request.query is not None:
            raise bad_input("a request has a query or a documentId, not both")
        text = self._trusted.get(document_id) if self._trusted is not None else None
        if text is None:
            raise _not_found("there is no document of that documentId here")
        return text

    def _sent_before(self, persisted: PersistedQuery) -> str:
        text = self._trusted.get(persisted.sha256_hash) if self._trusted is not None else None
        if text is None:
            text = self._persisted.get(persisted.sha256_hash)
        if text is None:
            raise _not_found(_NOT_FOUND)
        return text

    def _keep(self, persisted: PersistedQuery, text: str) -> Document:
        self._admit(text)
        if hash_of(text) != persisted.sha256_hash:
            raise bad_input("sha256Hash is not the hash of the query")
        document = self._documents.get(text)
        if not self._strict:
            self._persisted.put(persisted.sha256_hash, text)
        return document

    def _admit(self, text: str) -> None:
        if self._trusted is not None and not self._trusted.lists(text) and self._strict:
            raise EsbError(ErrorCode.FORBIDDEN, "only trusted documents are run here, and this one is not among them")

    @property
    def _strict(self) -> bool:
        return self._trusted is not None and self._trusted.strict


def _not_found(message: str) -> EsbError:
    return EsbError(ErrorCode.PERSISTED_QUERY_NOT_FOUND, message)
