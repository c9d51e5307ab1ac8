"""GraphiQL in a real browser, as `esb serve --dev` shows it: its first tab follows events as they are published."""

from collections.abc import Callable, Iterator

import pytest

from tests.end_to_end.api import Api
from tests.end_to_end.browser import Page, page
from tests.services.gateway import GatewayProcess

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

EDITOR = "document.querySelector('.graphiql-query-editor').innerText"
RESULT = "(document.querySelector('.result-window')?.innerText ?? '').replaceAll('\\u00a0', ' ')"
RUNNING = "document.querySelector('.graphiql-execute-button').ariaLabel.startsWith('Stop')"


@pytest.fixture
def gateway(own_gateway: Callable[..., GatewayProcess]) -> GatewayProcess:
    gateway = own_gateway("dev", "--dev")
    gateway.start()
    return gateway


@pytest.fixture
def administrator(gateway: GatewayProcess) -> Iterator[Api]:
    made = Api(gateway, "dev")
    yield made
    made.close()


@pytest.fixture
def browser() -> Iterator[Page]:
    with page() as opened:
        yield opened


def test_the_first_tab_shows_an_event_that_is_published_while_it_runs(administrator: Api, browser: Page) -> None:
    administrator.create_stream("flights", "flight.*")
    browser.open(f"{administrator.gateway.url}/graphql")
    browser.wait_for(f"document.querySelector('.graphiql-query-editor') && {EDITOR}.includes('subscription')")
    browser.click(".graphiql-execute-button")
    browser.wait_for(RUNNING)
    while "N14228" not in browser.ask(RESULT):  # the subscription is live from a moment on that only the server knows
        administrator.publish(
            "flight.departed", {"delay_minutes": 47}, aggregate_type="Aircraft", aggregate_id="N14228"
        )
    assert '"delay_minutes": 47' in browser.ask(RESULT)
    assert browser.console == []


def test_another_tab_creates_a_stream_with_the_token_of_the_page(administrator: Api, browser: Page) -> None:
    browser.open(f"{administrator.gateway.url}/graphql")
    browser.click("li[role=tab]:nth-of-type(2) button")
    # the page knows of both operations once it has read the tab
    browser.click(".graphiql-execute-button[aria-haspopup=menu]")
    browser.click("[role=menuitem]")
    browser.wait_for(f'{RESULT}.includes(\'"streamName": "user-events"\')')
    assert administrator.publish("user.created")["stream"] == "user-events"
    assert browser.console == []
