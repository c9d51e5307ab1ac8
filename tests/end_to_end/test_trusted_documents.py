"""`ESB_TRUSTED_DOCUMENTS`: a gateway that runs only what its clients were built with."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.graphql.persisted import hash_of
from tests.services.gateway import GatewayProcess

LISTED = "query Listed { __typename }"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("manifest") / "persisted-documents.json"
    path.write_text(json.dumps({hash_of(LISTED): LISTED}))
    return path


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, manifest: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(
        tmp_path_factory.mktemp("trusted") / "data", {"ESB_TRUSTED_DOCUMENTS": str(manifest)}, "--dev"
    )
    process.start()
    try:
        yield process
    finally:
        process.stop()


def test_strict_is_what_the_setting_means_and_development_is_no_exception(gateway: GatewayProcess) -> None:
    headers = {"authorization": f"Bearer {gateway.token('acme')}", "accept": "application/graphql-response+json"}
    with httpx.Client(base_url=gateway.url, headers=headers) as client:
        listed = client.post("/graphql", json={"documentId": f"sha256:{hash_of(LISTED)}"})
        assert listed.json()["data"] == {"__typename": "Query"}
        assert client.get("/graphql", params={"documentId": hash_of(LISTED)}).json() == listed.json()
        other = client.post("/graphql", json={"query": "{ __schema { queryType { name } } }"})
        assert other.status_code == 403
        assert other.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert client.post("/graphql", json={"documentId": "other"}).status_code == 404


def test_a_manifest_that_is_none_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    process = GatewayProcess(tmp_path / "data", {"ESB_TRUSTED_DOCUMENTS": str(broken)})
    process.install()
    with pytest.raises(Exception, match="is no manifest of documents"):
        process.start()
    process.stop()
