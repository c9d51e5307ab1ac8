import re
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from gateway.rest.openapi import openapi_document, openapi_route
from gateway.rest.publishing import PublishingApi
from gateway.rest.reading import ReadingApi
from gateway.rest.routing import RoutingApi
from gateway.rest.streams import StreamApi
from gateway.rest.tickets import TicketApi


def references(document: Any) -> set[str]:
    if isinstance(document, dict):
        own = {document["$ref"]} if isinstance(document.get("$ref"), str) else set()
        return own.union(*(references(value) for value in document.values())) if document else own
    return set().union(*(references(value) for value in document)) if isinstance(document, list) else set()


async def test_it_is_public() -> None:
    app = Starlette(routes=[Mount("/api/v1", routes=[openapi_route()])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://esb") as http:
        response = await http.get("/api/v1/openapi.json")
    assert response.status_code == 200
    assert response.json()["openapi"] == "3.1.0"


def test_what_is_served_is_described_and_nothing_else() -> None:
    def guard(handler: Any) -> Any:
        return handler

    apis: list[Any] = [PublishingApi, ReadingApi, StreamApi, RoutingApi, TicketApi]
    routes: list[Route] = [route for api in apis for route in api.routes(api.__new__(api), guard)]
    served = {(f"/api/v1{route.path}", m.lower()) for route in routes for m in (route.methods or set()) - {"HEAD"}}
    paths = openapi_document()["paths"]
    assert served == {(path, method) for path, methods in paths.items() for method in methods}


def test_every_reference_and_path_parameter_is_there() -> None:
    document = openapi_document()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), path


def test_events_are_described_as_they_are_read_and_as_they_are_sent() -> None:
    schemas = openapi_document()["components"]["schemas"]
    assert {"event_id", "position", "cursor", "payload"} <= schemas["Event"]["properties"].keys()
    assert "position" not in schemas["EventInput"]["properties"]
    assert schemas["EventInput"]["required"] == ["event_type", "payload"]
