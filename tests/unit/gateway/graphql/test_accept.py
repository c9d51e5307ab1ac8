import pytest

from gateway.graphql.accept import GRAPHQL_JSON, JSON, preferred
from gateway.graphql.event_stream import EVENT_STREAM
from gateway.graphql.http import HTML

OFFERED = (JSON, GRAPHQL_JSON, EVENT_STREAM, HTML)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("application/graphql-response+json", GRAPHQL_JSON),
        ("application/graphql-response+json, application/json", GRAPHQL_JSON),
        ("application/graphql-response+json;charset=utf-8, application/json;q=0.9", GRAPHQL_JSON),
        ("application/json;q=0.5, application/graphql-response+json;q=0.4", JSON),
        ("application/graphql-response+json, application/json, multipart/mixed", GRAPHQL_JSON),
        ("text/event-stream", EVENT_STREAM),
        ("text/event-stream, application/json;q=0.1", EVENT_STREAM),
        # Chrome, Firefox
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", HTML),
        ("text/html,*/*", HTML),
        ("application/json;q=0", None),
        ("*/*, application/json;q=0", GRAPHQL_JSON),
        ("image/png", None),
        ("application/json;q=nonsense", None),
    ],
)
def test_what_the_client_likes_best_is_sent(accept: str | None, chosen: str | None) -> None:
    assert preferred(accept, OFFERED) == chosen
