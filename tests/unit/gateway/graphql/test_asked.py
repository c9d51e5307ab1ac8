"""Which document a request means, with and without a list of trusted ones."""

import json
from typing import Any

import pytest

from gateway.graphql.asked import AskedDocuments
from gateway.graphql.documents import Documents
from gateway.graphql.limits import OperationLimits
from gateway.graphql.persisted import hash_of
from gateway.graphql.request import decode_request
from gateway.graphql.trusted import TrustedDocuments
from resolvers.schema import graphql_schema
from schema.errors import EsbError

LISTED = "query Listed { __typename }"
OTHER = "query Other { __typename }"


def asked(strict: bool | None) -> AskedDocuments:
    trusted = None if strict is None else TrustedDocuments({"listed": LISTED}, strict=strict)
    return AskedDocuments(Documents(graphql_schema(), OperationLimits()), trusted)


def name(documents: AskedDocuments, **said: Any) -> str:
    """The operation that was found, or the code of the refusal."""
    try:
        return str(documents.get(decode_request(json.dumps(said).encode())).operations[0].name)
    except EsbError as error:
        return error.code.value


def by_hash(text: str, **more: Any) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_of(text)}}, **more}


@pytest.mark.parametrize("strict", [True, False])
def test_a_listed_document_is_found_by_every_name(strict: bool) -> None:
    documents = asked(strict)
    assert name(documents, documentId="listed") == "Listed"
    assert name(documents, documentId=f"sha256:{hash_of(LISTED)}") == "Listed"
    assert name(documents, **by_hash(LISTED)) == "Listed"
    assert name(documents, query=LISTED) == "Listed"
    assert name(documents, **by_hash(LISTED, query=LISTED)) == "Listed"
    # Apollo Client sends the manifest's id as if it were the hash
    assert name(documents, extensions={"persistedQuery": {"version": 1, "sha256Hash": "listed"}}) == "Listed"


def test_only_listed_documents_are_run_in_strict_mode() -> None:
    documents = asked(True)
    assert name(documents, query=OTHER) == "FORBIDDEN"
    assert name(documents, query="{ __schema { queryType { name } } }") == "FORBIDDEN"
    assert name(documents, query="{ not even") == "FORBIDDEN"
    assert name(documents, query=LISTED + " ") == "FORBIDDEN"
    assert name(documents, **by_hash(OTHER, query=OTHER)) == "FORBIDDEN"
    assert name(documents, **by_hash(OTHER)) == "PERSISTED_QUERY_NOT_FOUND"
    assert name(documents, documentId="other") == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize("strict", [False, None])
def test_others_are_run_and_kept_where_the_list_is_not_strict_or_there_is_none(strict: bool | None) -> None:
    documents = asked(strict)
    assert name(documents, query=OTHER) == "Other"
    assert name(documents, **by_hash(OTHER)) == "PERSISTED_QUERY_NOT_FOUND"
    assert name(documents, **by_hash(OTHER, query=OTHER)) == "Other"
    assert name(documents, **by_hash(OTHER)) == "Other"
    assert name(documents, documentId="other") == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"query": None},
        {"query": LISTED, "documentId": "listed"},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": hash_of(LISTED)}}},
        by_hash(OTHER, query=LISTED),
    ],
)
def test_what_contradicts_itself_is_refused(said: dict[str, Any]) -> None:
    assert name(asked(True), **said) == "BAD_INPUT"
