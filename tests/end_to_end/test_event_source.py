"""A browser's own EventSource, with the few lines of docs/reference/protocols.md around it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.end_to_end.api import Api, issue
from tests.end_to_end.browser import Page, page

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "protocols.md"
LIVE = "subscription($f: From) { feed(from: $f) { __typename ... on Event { payload } } }"
TOKEN_LIFE_S = 3.0


@pytest.fixture
def browser() -> Iterator[Page]:
    with page() as opened:
        yield opened


def snippet() -> str:
    found = re.search(r"```js\n(function follow.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found
    return found.group(1)


def test_it_misses_nothing_when_its_token_has_expired_and_its_ticket_is_used(api: Api, browser: Page) -> None:
    browser.open(f"{api.gateway.url}/graphql")  # any page of the gateway's origin
    browser.wait_for("document.readyState === 'complete'")
    address = f"{api.gateway.url}/graphql?" + urlencode({"query": LIVE, "variables": '{"f":{"live":true}}'})
    short, long = issue(api.gateway, api.tenant, ttl_s=TOKEN_LIFE_S), api.token
    browser.ask(f"""{snippet()}
        window.heard = [];
        window.tickets = 0;
        const NativeSource = EventSource;
        window.opened = 0;
        window.EventSource = class extends NativeSource {{
            constructor(url) {{ super(url); this.addEventListener('open', () => window.opened++); }}
        }};
        async function ticket() {{
            const token = window.tickets++ ? {json.dumps(long)} : {json.dumps(short)};
            const headers = {{ authorization: `Bearer ${{token}}` }};
            const answer = await fetch('/api/v1/tickets', {{ method: 'POST', headers }});
            return (await answer.json()).ticket;
        }}
        const hear = (feed) => window.heard.push(feed.payload?.n ?? feed.__typename);
        follow({json.dumps(address)}, ticket, ({{ data }}) => hear(data.feed));
        true""")
    browser.wait_for("window.heard.length === 1")
    api.publish(payload={"n": 1})
    browser.wait_for("window.heard.length === 2")
    numbers = [1]
    while browser.ask("window.opened") < 2:  # before, while and after it has no connection
        numbers.append(len(numbers) + 1)
        api.publish(payload={"n": numbers[-1]})
    browser.wait_for(f"window.heard.length >= {len(numbers) + 2}")
    heard = browser.ask("window.heard")
    assert heard[0] == "CaughtUp"
    assert [said for said in heard if said != "CaughtUp"] == numbers
    assert browser.ask("window.tickets") >= 2
