"""The GraphiQL page: always there, a token only where one is given, nothing it embeds can break out."""

import json
import re
from pathlib import Path

import httpx
import pytest
import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from gateway.graphql.documents import Documents
from gateway.graphql.examples import EXAMPLES
from gateway.graphql.limits import OperationLimits
from gateway.graphql.page import Page
from resolvers.schema import graphql_schema


def client(static: Path, token: str | None = None) -> httpx.AsyncClient:
    page = Page(lambda _: token, static)

    async def show(request: Request):  # type: ignore[no-untyped-def]
        return page.response(request)

    app = Starlette(routes=[*page.routes("/graphql"), Route("/graphql", show)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "graphiql.js").write_text("started()")
    (tmp_path / "graphiql.css").write_text("")
    return tmp_path


def config(html: str) -> dict[str, object]:
    found = re.search(r'<script id="esb-graphiql" type="application/json">(.*?)</script>', html)
    assert found is not None
    said: dict[str, object] = json.loads(found.group(1))
    return said


async def test_the_page_tells_where_to_ask_and_what_to_try(tmp_path: Path) -> None:
    answer = await client(tmp_path).get("/graphql")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "graphiql" in answer.text.lower()
    assert "eyJ" not in answer.text
    said = config(answer.text)
    assert said["url"] == "/graphql"
    assert said["tabs"] == EXAMPLES
    assert "token" not in said


async def test_a_token_is_there_where_one_is_given_and_is_not_kept(tmp_path: Path) -> None:
    answer = await client(tmp_path, "eyJ.</script><script>alert(1)").get("/graphql")
    assert config(answer.text)["token"] == "eyJ.</script><script>alert(1)"
    assert "<script>alert" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_built_assets_are_used_and_nothing_from_elsewhere(built: Path) -> None:
    browser = client(built)
    answer = await browser.get("/graphql")
    assert '<script src="/graphql/static/graphiql.js"></script>' in answer.text
    assert "unpkg" not in answer.text + answer.headers["content-security-policy"]
    assert (await browser.get("/graphql/static/graphiql.js")).text == "started()"


async def test_without_them_the_copies_strawberry_uses_are_loaded_with_their_hashes(tmp_path: Path) -> None:
    answer = await client(tmp_path).get("/graphql")
    known = (Path(strawberry.__file__).parent / "static" / "graphiql.html").read_text()
    loaded = re.findall(r'(?:src|href)="(https://[^"]+)"\s+integrity="([^"]+)"', answer.text)
    assert len(loaded) == 4
    for url, integrity in loaded:
        assert url in known
        assert integrity in known
    policy = answer.headers["content-security-policy"]
    (nonce,) = re.findall(r'<script nonce="([^"]+)">', answer.text)
    assert f"'nonce-{nonce}'" in policy
    again = await client(tmp_path).get("/graphql")
    assert again.headers["content-security-policy"] != policy


def test_the_examples_are_valid() -> None:
    documents = Documents(graphql_schema(), OperationLimits())
    for example in EXAMPLES:
        assert documents.get(example["query"]).operations
