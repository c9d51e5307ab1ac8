"""What `esb replay` asks a running gateway, and how a replay looks while it goes."""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli.process import print_json
from gateway.cli.remote import Remote

_FIELDS = "id status done total stream speed startedAt finishedAt error cursor"
_START = f"mutation($r:ReplayInput!){{startReplay(replay:$r){{{_FIELDS}}}}}"
_LIST = f"{{replays{{{_FIELDS}}}}}"
_WATCH = f"subscription($i:ID!){{replay(id:$i){{{_FIELDS}}}}}"
_RATE_S = 10.0
_ENDS = ("DONE", "CANCELLED", "FAILED")

Show = Callable[[], contextlib.AbstractContextManager[Callable[[dict[str, Any]], None]]]
"""Opens what shows a replay as it moves on."""


async def start(remote: Remote, said: dict[str, Any]) -> dict[str, Any]:
    """Begin one, in GraphQL's words."""
    return dict((await remote.graphql(_START, {"r": said}))["startReplay"])


async def newest(remote: Remote) -> list[dict[str, Any]]:
    """Those the token may see, the newest first."""
    return list((await remote.graphql(_LIST))["replays"])


async def change(remote: Remote, mutation: str, replay_id: str) -> dict[str, Any]:
    """Pause, resume or cancel one; as it stands then."""
    answer = await remote.graphql(f"mutation($i:ID!){{{mutation}(id:$i){{{_FIELDS}}}}}", {"i": replay_id})
    return dict(answer[mutation])


async def watch(remote: Remote, replay_id: str, show: Show, notes: Console) -> dict[str, Any]:
    """Show it until it is done, cancelled or failed; as it stands then. Ctrl-C ends the watching, not the replay."""

    def pause(why: str, seconds: float) -> None:
        notes.print(f"{why}; trying again in {seconds:g} s", style="dim", markup=False, highlight=False, soft_wrap=True)

    last: dict[str, Any] = {}
    with show() as moved:
        async with contextlib.aclosing(remote.follow(_WATCH, {"i": replay_id}, pause)) as messages:
            async for data in messages:
                last = data["replay"]
                moved(last)
                if last["status"] in _ENDS:
                    break
    if last.get("error"):
        notes.print(last["error"], style="red", markup=False, highlight=False, soft_wrap=True)
    return last


@contextlib.contextmanager
def printed() -> Any:
    """A line of JSON each time it moves on."""
    yield print_json


def bar(console: Console) -> Show:
    """A progress bar with what was published, of how many, how fast, and how long it will take."""

    @contextlib.contextmanager
    def opened() -> Any:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("", total=None, rate="", visible=False)
            rate = Rate()

            def moved(replay: dict[str, Any]) -> None:
                said = f"{replay['id']} → {replay['stream']} {replay['status'].lower()}"
                speed = f"{rate.after(replay['done']):,.0f} events/s"
                progress.update(
                    task,
                    description=said,
                    completed=replay["done"],
                    total=replay["total"],
                    rate=speed,
                    visible=True,
                    refresh=True,
                )

            yield moved

    return opened


class Rate:
    """Events a second over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def after(self, done: int) -> float:
        """The rate, now that so many are done."""
        now = time.monotonic()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _RATE_S:
            self._seen.popleft()
        since, first = self._seen[0]
        return (done - first) / (now - since) if now > since else 0.0


def table(found: list[dict[str, Any]]) -> Table:
    """Replays for people."""
    made = Table(box=None, pad_edge=False)
    for heading in ("replay", "status", "events", "into", "started", "error"):
        made.add_column(heading, overflow="fold")
    for replay in found:
        total = "?" if replay["total"] is None else f"{replay['total']:,}"
        made.add_row(
            f"[bold]{replay['id']}[/]",
            replay["status"].lower(),
            f"{replay['done']:,} of {total}",
            replay["stream"],
            f"{replay['startedAt'][:19]}Z",
            replay["error"] or "",
        )
    return made
