"""Manifests of trusted documents: three formats, and what is no manifest."""

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.graphql.persisted import hash_of
from gateway.graphql.trusted import TrustedDocuments, read_manifest
from schema.errors import EsbError

PAGE = "query Page { events { asOf } }"
ONE = 'query One { event(eventId: "e") { eventId } }'


def manifest(folder: Path, content: Any) -> Path:
    path = folder / "manifest.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": "page", "name": "Page", "type": "query", "body": PAGE},
        {"id": "one", "name": "One", "type": "query", "body": ONE},
    ],
}


@pytest.mark.parametrize("content", [APOLLO, {"page": PAGE, "one": ONE}], ids=["apollo", "relay"])
def test_a_manifest_lists_documents_by_id_and_by_hash(tmp_path: Path, content: Any) -> None:
    trusted = read_manifest(manifest(tmp_path, content), strict=True)
    assert len(trusted) == 2
    assert trusted.get("page") == trusted.get(hash_of(PAGE)) == trusted.get(f"sha256:{hash_of(PAGE)}") == PAGE
    assert trusted.get("one") == ONE
    assert trusted.get("none") is None
    assert trusted.lists(ONE)
    assert not trusted.lists(ONE + " ")


def test_ids_may_be_hashes_with_their_algorithm(tmp_path: Path) -> None:
    trusted = read_manifest(manifest(tmp_path, {f"sha256:{hash_of(PAGE)}": PAGE}), strict=True)
    assert trusted.get(f"sha256:{hash_of(PAGE)}") == PAGE


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no manifest"),
        (b"nonsense", "no manifest"),
        (b'{"a": "\xff"}', "no manifest"),
        (b"[" * 5000, "no manifest"),
        ([PAGE], "no manifest"),
        ({"page": {"text": PAGE}}, "no manifest"),
        ({}, "lists no documents"),
        ({"format": "some-other-format", "version": 1, "operations": []}, "no manifest"),
        (APOLLO | {"version": 2}, "version 2"),
        (APOLLO | {"operations": [{"id": "page"}]}, "body"),
        (APOLLO | {"operations": []}, "lists no documents"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: Any, why: str) -> None:
    with pytest.raises(EsbError, match=why):
        read_manifest(manifest(tmp_path, content), strict=True)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EsbError, match="No such file"):
        read_manifest(tmp_path / "none.json", strict=True)


def test_where_all_are_run_the_log_tells_which_are_not_listed_each_once() -> None:
    trusted = TrustedDocuments({"page": PAGE}, strict=False)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            assert not trusted.lists(ONE)
            assert trusted.lists(PAGE)
        for number in range(2000):
            trusted.lists(f"{{ f{number} }}")
    assert [line["sha256"] for line in lines if line["begins"] == ONE] == [hash_of(ONE)]
    assert len(lines) == 1000
