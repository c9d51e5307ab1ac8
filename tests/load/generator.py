"""The load generator `live` under our command: one process that holds subscriptions, publishes, cuts and counts."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.load.programs import build

_ANSWER_GRACE_S = 30.0


class LoadFailed(RuntimeError):
    """The generator could not do what it was told; its words."""


class Generator:
    """The running process. Commands and their parameters: cmd/live/generator.go."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def do(self, command: str, seconds: float = 60.0, **parameters: Any) -> dict[str, Any]:
        """Its answer. `seconds`: how long it may take. Raises LoadFailed, TimeoutError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said = {"do": command, "seconds": seconds, **parameters}
        self._process.stdin.write(json.dumps(said).encode() + b"\n")
        async with asyncio.timeout(seconds + _ANSWER_GRACE_S):
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        if not line:
            raise LoadFailed(f"the generator ended during {command}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LoadFailed(f"{command}: {answer['error']}")
        return answer


@asynccontextmanager
async def generator(*, behind: bool = False) -> AsyncIterator[Generator]:
    """A generator of one's own, built where needed; gone after the block. `behind`: on one core, and only when nobody
    else wants it, as if it ran elsewhere.
    """
    command = [str(await asyncio.to_thread(build) / "live")]
    if behind:
        command = ["env", "GOMAXPROCS=1", "nice", "-n", "15", *command]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20
    )
    try:
        yield Generator(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def publishing(url: str, token: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """A target for the generator's publisher: `publishEvents` of our gateway, each event as given, in GraphQL's words.

    Numbers are filled in where the event says "$SEQ" or "$AT" as a whole text, and $KEY and $ID within texts.
    """
    query = (
        "mutation($events: [EventInput!]!) { publishEvents(events: $events, atomic: false) { rejections { message } } }"
    )
    item = json.dumps(event).replace('"$SEQ"', "$SEQ").replace('"$AT"', "$AT")
    return {
        "url": f"{url}/graphql",
        "headers": {"content-type": "application/json", "authorization": f"Bearer {token}"},
        "head": f'{{"query":{json.dumps(query)},"variables":{{"events":[',
        "item": item,
        "between": ",",
        "tail": "]}}",
        "accepted": '"rejections":[]',
        "refused": '"errors"',
    }
