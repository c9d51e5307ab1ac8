"""One run of a compiled operation: what its closures share."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from graphql.execution.values import VariableValues

from resolvers.context import Context


class Unfit(Exception):
    """Left to graphql-core, which does it from the beginning and says what is wrong, if anything is."""


class Info:
    """What resolvers are given of Strawberry's `Info`: the context. One that asked for more would not be compiled."""

    __slots__ = ("context",)

    def __init__(self, context: Context) -> None:
        self.context = context

    def __getattr__(self, name: str) -> Any:
        raise Unfit(name)


class Run:
    """`coerced`: the values of the variables. `variables`: as graphql-core keeps them, where an argument needs that."""

    __slots__ = ("coerced", "info", "pending", "variables")

    def __init__(self, info: Info, coerced: Mapping[str, Any], variables: VariableValues | None) -> None:
        self.info = info
        self.coerced = coerced
        self.variables = variables
        self.pending: list[Pending] = []

    async def settle(self) -> None:
        """Wait for what was asked, level by level, until nothing is left to ask. All of a level goes at once, so that
        the loaders see it as one batch, as graphql-core has it. Raises what the first of them raised."""
        try:
            while self.pending:
                await self._level()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of what was not asked yet."""
        for one in self.pending:
            one.asked.close()

    async def _level(self) -> None:
        level, self.pending = self.pending, []
        if len(level) == 1:
            answers = [await level[0].asked]
        else:
            asked = await asyncio.gather(*(one.asked for one in level), return_exceptions=True)
            answers = [_unless_failed(answer) for answer in asked]
        for one, answer in zip(level, answers, strict=True):
            one.holder[one.key] = one.complete(answer, self)


class Pending(NamedTuple):
    """A value that is being asked for, and where it goes."""

    holder: dict[str, Any]
    key: str
    asked: Coroutine[Any, Any, Any]
    complete: Callable[[Any, Run], Any]


def _unless_failed(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer
