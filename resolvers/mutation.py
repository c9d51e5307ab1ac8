"""The part of `Mutation` about publishing, streams and routes, tokens."""

import strawberry
from strawberry import UNSET, Info

from processors.admission.ports import AppendConditionInput
from resolvers.arguments import given
from resolvers.configuration import patch_of, stream_input_of
from resolvers.context import Context
from resolvers.stream import DeleteStreamResult, Stream
from schema.filter.typed import parse_filter
from schema.graphql.access import Revocation, RevocationInput
from schema.graphql.event import SignCursor
from schema.graphql.filters import AppendCondition, filter_document
from schema.graphql.publishing import EventInput, PublishReport, Receipt, Rejection
from schema.graphql.scalars import JSON, CursorText, Long
from schema.graphql.streams import DeleteRouteResult, Route, RouteInput, StreamInput, StreamPatch
from store.log.port import Receipt as Committed


@strawberry.type
class EventsMutation:
    """What a client can change of the log and around it."""

    @strawberry.mutation(description="commit one event; answered after the commit")
    async def publish_event(self, info: Info[Context, None], event: EventInput) -> Receipt:
        """One event."""
        context = info.context
        receipt = await context.services.admission.publish_one(context.principal, event.said(), client=context.client)
        return _receipt(0, receipt, context.sign)

    @strawberry.mutation(description="commit a batch: whole (`atomic`), or each event for itself")
    async def publish_events(
        self,
        info: Info[Context, None],
        events: list[EventInput],
        atomic: bool | None = True,
        condition: AppendCondition | None = UNSET,
    ) -> PublishReport:
        """A batch."""
        context = info.context
        report = await context.services.admission.publish(
            context.principal,
            [event.said() for event in events],
            client=context.client,
            atomic=atomic is not False,
            condition=_condition(given(condition)),
        )
        return PublishReport(
            receipts=[_receipt(index, receipt, context.sign) for index, receipt in report.receipts],
            rejections=[
                Rejection(
                    index=one.index,
                    event_id=None if one.event_id is None else strawberry.ID(one.event_id),
                    code=one.code,
                    message=one.message,
                    details=None if one.details is None else JSON(one.details),
                )
                for one in report.rejections
            ],
        )

    @strawberry.mutation
    async def create_stream(self, info: Info[Context, None], stream: StreamInput) -> Stream:
        """Make a stream, and its topic where it has one."""
        context = info.context
        return Stream(await context.services.streams.create(context.principal, stream_input_of(stream)))

    @strawberry.mutation
    async def update_stream(self, info: Info[Context, None], name: str, patch: StreamPatch) -> Stream:
        """Change what is given of a stream."""
        context = info.context
        return Stream(await context.services.streams.patch(context.principal, name, patch_of(patch)))

    @strawberry.mutation(description="its events stay readable; its name may not come back")
    async def delete_stream(self, info: Info[Context, None], name: str) -> DeleteStreamResult:
        """Delete a stream."""
        context = info.context
        return DeleteStreamResult(stream=Stream(await context.services.streams.delete(context.principal, name)))

    @strawberry.mutation
    async def create_route(self, info: Info[Context, None], route: RouteInput) -> Route:
        """Make a routing rule."""
        context = info.context
        rule = await context.services.streams.create_route(
            context.principal,
            name=route.name,
            where=filter_document(route.where),
            stream=route.stream,
            priority=route.priority or 0,
        )
        return Route.of(rule)

    @strawberry.mutation
    async def delete_route(self, info: Info[Context, None], id: strawberry.ID) -> DeleteRouteResult:
        """Delete a routing rule."""
        context = info.context
        return DeleteRouteResult(route=Route.of(await context.services.streams.delete_route(context.principal, id)))

    @strawberry.mutation(
        description="refuse tokens from now on, and end what they hold open. Needs `manage` on every stream; the token"
        " one calls with may always be given up"
    )
    async def revoke_tokens(self, info: Info[Context, None], revocation: RevocationInput) -> Revocation:
        """Revoke tokens of the caller's tenant."""
        context = info.context
        kind, value = revocation.named()
        made = await context.services.tokens.revoke(
            context.principal, kind, value, before=given(revocation.before), reason=given(revocation.reason)
        )
        return Revocation.of(made)


def _condition(said: AppendCondition | None) -> AppendConditionInput | None:
    if said is None:
        return None
    return AppendConditionInput(parse_filter(filter_document(said.none_matching)), given(said.after))


def _receipt(index: int, receipt: Committed, sign: SignCursor) -> Receipt:
    return Receipt(
        index=index,
        event_id=strawberry.ID(receipt.event_id),
        stream=receipt.stream,
        position=None if receipt.position is None else Long(receipt.position),
        partition=receipt.partition,
        offset=None if receipt.offset is None else Long(receipt.offset),
        sequence_number=None if receipt.sequence_number is None else Long(receipt.sequence_number),
        cursor=CursorText(sign(receipt.cursor)),
        recorded_at=receipt.recorded_at,
        duplicate=receipt.duplicate,
    )
