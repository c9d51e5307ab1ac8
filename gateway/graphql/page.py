"""The GraphiQL page, always served: its assets from here where they were built, else whence Strawberry loads them."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from gateway.graphql.examples import EXAMPLES

STATIC = Path(__file__).parent / "static"

_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Event Streaming Bus · GraphiQL</title>
<link rel="icon" href="data:,">
<style>html,body,#graphiql{{height:100%;margin:0}}</style>
{head}
</head>
<body>
<div id="graphiql">Loading GraphiQL…</div>
<script id="esb-graphiql" type="application/json">{config}</script>
{scripts}
</body>
</html>
"""

# The very files, versions and hashes of Strawberry's own page (strawberry/static/graphiql.html).
_CDN_HEAD = (
    '<link crossorigin rel="stylesheet" href="https://unpkg.com/graphiql@3.8.3/graphiql.min.css"'
    ' integrity="sha384-Mq3vbRBY71jfjQAt/DcjxUIYY33ksal4cgdRt9U/hNPvHBCaT2JfJ/PTRiPKf0aM">'
)
_CDN_SCRIPTS = (
    '<script crossorigin src="https://unpkg.com/react@18.2.0/umd/react.production.min.js"'
    ' integrity="sha384-tMH8h3BGESGckSAVGZ82T9n90ztNXxvdwvdM6UoR56cYcf+0iGXBliJ29D+wZ/x8"></script>'
    '<script crossorigin src="https://unpkg.com/react-dom@18.2.0/umd/react-dom.production.min.js"'
    ' integrity="sha384-bm7MnzvK++ykSwVJ2tynSE5TRdN+xL418osEVF2DE/L/gfWHj91J2Sphe582B1Bh"></script>'
    '<script crossorigin src="https://unpkg.com/graphiql@3.8.3/graphiql.min.js"'
    ' integrity="sha384-HbRVEFG0JGJZeAHCJ9Xm2+tpknBQ7QZmNlO/DgZtkZ0aJSypT96YYGRNod99l9Ie"></script>'
)
_CDN_START = """
const page = JSON.parse(document.getElementById("esb-graphiql").textContent);
const known = page.token ? { authorization: "Bearer " + page.token } : {};
const url = new URL(page.url, location.href).href;
const fetcher = GraphiQL.createFetcher({
  url, headers: known, subscriptionUrl: url.replace(/^http/, "ws"), wsConnectionParams: known,
});
const defaultTabs = page.tabs.map(({ query, variables }) => ({
  query, variables: variables && JSON.stringify(variables, null, 2),
}));
ReactDOM.createRoot(document.getElementById("graphiql")).render(React.createElement(GraphiQL, {
  fetcher, defaultTabs, shouldPersistHeaders: false, defaultEditorToolsVisibility: true,
}));
"""


class Page:
    """Renders the page. `token`: an authorization for whoever opens it, in development only, or None."""

    def __init__(self, token: Callable[[HTTPConnection], str | None], static: Path = STATIC) -> None:
        self._token = token
        self._built = (static / "graphiql.js").is_file()
        self._static = static

    def routes(self, path: str) -> list[BaseRoute]:
        """Where the built assets are served, if there are any."""
        return [Mount(f"{path}/static", StaticFiles(directory=self._static))] if self._built else []

    def response(self, request: Request) -> HTMLResponse:
        """The page for this visitor."""
        config: dict[str, Any] = {"url": request.scope["path"], "tabs": EXAMPLES}
        token = self._token(request)
        if token is not None:
            config["token"] = token
        nonce = secrets.token_urlsafe(16)
        headers = {
            "content-security-policy": _policy(self._built, nonce),
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "vary": "accept",
        }
        return HTMLResponse(self._render(config, nonce, request.scope["path"]), headers=headers)

    def _render(self, config: dict[str, Any], nonce: str, path: str) -> str:
        # `<` would let a text end the script element it stands in
        embedded = json.dumps(config).replace("<", "\\u003c")
        if self._built:
            head = f'<link rel="stylesheet" href="{path}/static/graphiql.css">'
            scripts = f'<script src="{path}/static/graphiql.js"></script>'
        else:
            head = _CDN_HEAD
            scripts = f'{_CDN_SCRIPTS}<script nonce="{nonce}">{_CDN_START}</script>'
        return _SHELL.format(head=head, config=embedded, scripts=scripts)


def _policy(built: bool, nonce: str) -> str:
    """Scripts from here only, or those of the public copies besides; nobody may frame the page.

    The editor sets styles on its elements and runs workers, hence 'unsafe-inline' for styles and blob: for workers.
    """
    away = "" if built else " https://unpkg.com"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'{away}",
            f"style-src 'self' 'unsafe-inline'{away}",
            f"font-src 'self' data:{away}",
            "img-src 'self' data:",
            "connect-src 'self' ws: wss:",
            "worker-src 'self' blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
