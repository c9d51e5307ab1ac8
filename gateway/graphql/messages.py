"""An operation's answer as a sequence of messages: one of a query, many of a subscription."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from gateway.graphql.connections import Connections
from gateway.graphql.documents import Operation
from gateway.graphql.following import Ended, Following, Unplaced, with_cursor
from gateway.graphql.operations import Answer, Caller, Operations, refusal
from gateway.graphql.request import GraphQLRequest
from processors.live.shape import Message as Shown
from schema.errors import EsbError


class Begun(NamedTuple):
    """A subscription is live: it goes on after `cursor`, known before there is any message."""

    cursor: str


class Message(NamedTuple):
    """One GraphQL response. `resumable`: the same with `extensions.cursor`, where a subscription goes on after it by
    `cursor`. `failure`: the errors a subscription ended by."""

    body: bytes
    resumable: bytes
    cursor: str | None = None
    failure: list[dict[str, Any]] | None = None


async def messages(
    operations: Operations,
    connections: Connections,
    found: Operation | Answer,
    request: GraphQLRequest,
    caller: Caller,
) -> AsyncGenerator[Begun | Message, None]:
    """Everything an operation says, to its end. Must be closed. Raises Draining when the process goes away."""
    if not isinstance(found, Operation):
        yield _whole(found)
        return
    if not found.is_subscription:
        yield _whole(await operations.answer(found, request, caller))
        return
    tenant = caller.principal.tenant
    try:
        connections.take(tenant)
    except EsbError as error:
        yield _whole(refusal(error))
        return
    try:
        following = await operations.follow(found, request, caller)
        if isinstance(following, Answer):
            yield _whole(following)
            return
        async with contextlib.aclosing(following):
            if following.place is not None:
                yield Begun(following.sign(following.place))
            try:
                async for said in following:
                    yield _placed(said, following)
            except Ended as ended:
                yield Message(ended.body, ended.body, failure=ended.errors)
    finally:
        connections.give_back(tenant)


def _placed(said: Shown | Unplaced, following: Following) -> Message:
    if said.place is None:
        return Message(said.body, said.body)
    cursor = following.sign(said.place)
    return Message(said.body, with_cursor(said.body, cursor), cursor)


def _whole(answer: Answer) -> Message:
    return Message(answer.body, answer.body)
