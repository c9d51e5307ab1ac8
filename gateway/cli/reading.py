"""`esb events`, `esb streams`, `esb route explain`: questions to a running gateway, and how the answers look."""

from collections.abc import Callable
from typing import Any

from rich.table import Table

from gateway.cli.remote import Remote
from gateway.cli.tail import FIELDS

_PAGE = 500
_EVENTS = (
    "query($s:[String!],$w:EventFilter,$n:Int,$a:String,$o:Order){events(streams:$s,where:$w,first:$n,after:$a,order:$o)"
    f"{{nodes{{{FIELDS}}} pageInfo{{hasNextPage endCursor}}}}}}"
)
_STREAMS = (
    "query($a:String){streams(first:100,after:$a){nodes{streamId streamName topicName engine partitions eventPatterns "
    "eventCount} pageInfo{hasNextPage endCursor}}}"
)
_ROUTE = "query($e:EventInput!){explainRoute(event:$e){stream{streamName streamId} why}}"


async def events(
    remote: Remote,
    *,
    streams: list[str] | None,
    where: dict[str, Any] | None,
    count: int,
    newest: bool,
    show: Callable[[dict[str, Any]], None],
) -> None:
    """Show up to `count` stored events, page by page."""
    after: str | None = None
    while count > 0:
        variables = {"s": streams or None, "w": where, "n": min(count, _PAGE), "a": after}
        variables["o"] = "DESC" if newest else "ASC"
        page = (await remote.graphql(_EVENTS, variables))["events"]
        for event in page["nodes"]:
            show(event)
        count -= len(page["nodes"])
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


async def streams(remote: Remote) -> list[dict[str, Any]]:
    """Every stream the token may see."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = (await remote.graphql(_STREAMS, {"a": after}))["streams"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def explain_route(remote: Remote, said: dict[str, Any]) -> dict[str, Any]:
    """The stream that would take the event, and why."""
    return dict((await remote.graphql(_ROUTE, {"e": said}))["explainRoute"])


def table(found: list[dict[str, Any]]) -> Table:
    """Streams for people."""
    made = Table(box=None, pad_edge=False)
    for heading in ("stream", "engine", "events", "takes", "topic", "id"):
        made.add_column(heading, overflow="fold")
    for stream in found:
        patterns = ", ".join(stream["eventPatterns"]) or "-"
        made.add_row(
            f"[bold]{stream['streamName']}[/]",
            stream["engine"],
            f"{stream['eventCount']:,}",
            patterns,
            stream["topicName"],
            f"[dim]{stream['streamId']}[/]",
        )
    return made
