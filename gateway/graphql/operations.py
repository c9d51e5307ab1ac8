"""Runs operations, whatever they came in by: HTTP, event streams and sockets only carry what is said here."""

import asyncio
from collections.abc import AsyncIterable, Mapping
from typing import Any, NamedTuple

import msgspec
import structlog
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, execute, located_error
from graphql.execution import create_source_event_stream
from graphql.execution.executor import Executor
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental

from gateway.graphql.asked import AskedDocuments
from gateway.graphql.compiled import Unfit
from gateway.graphql.documents import DocumentErrors, Documents, Operation
from gateway.graphql.errors import formatted, formatted_all, formatted_refusal
from gateway.graphql.following import Compiled, Ended, Executed, Following, Shared, ended
from gateway.graphql.limits import OperationLimits
from gateway.graphql.publish_plan import Publish, PublishPlan
from gateway.graphql.request import GraphQLRequest, decode_variables
from gateway.graphql.shared_executions import SharedExecutions
from gateway.graphql.subscription_plan import PreparedSubscriptions, SubscriptionPlan
from gateway.graphql.trusted import TrustedDocuments
from gateway.telemetry.logs import current_request_id
from resolvers.context import Context, Services
from resolvers.subscription import subscribe
from schema.errors import ErrorCode, EsbError, bad_input
from schema.input import ClientContext
from schema.principal import Principal

_log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


class Caller(NamedTuple):
    """Who sent a request, and from where."""

    principal: Principal
    client: ClientContext


class Answer(NamedTuple):
    """A whole response. `executed`: it has `data`, though that may be null. `errors`: as they stand in `body`."""

    body: bytes
    executed: bool
    errors: list[dict[str, Any]]


class Operations:
    """Runs requests of authenticated callers. One instance a process. `trusted`: documents that may be asked for by id,
    and in strict mode the only ones that are run."""

    def __init__(
        self,
        schema: GraphQLSchema,
        services: Services,
        limits: OperationLimits,
        trusted: TrustedDocuments | None = None,
    ) -> None:
        self._schema = schema
        self._services = services
        self._limits = limits
        self._documents = AskedDocuments(Documents(schema, limits), trusted)
        self._prepared = PreparedSubscriptions()
        self._executions = SharedExecutions()

    def find(self, request: GraphQLRequest) -> Operation | Answer:
        """The operation a request names, or the answer that says why there is none."""
        try:
            return self._documents.get(request).operation(request.operation_name)
        except DocumentErrors as error:
            return _refusal(formatted_all(error.errors))
        except EsbError as error:
            return refusal(error)

    async def answer(self, operation: Operation, request: GraphQLRequest, caller: Caller) -> Answer:
        """Run a query or a mutation to its end. Never raises but when cancelled."""
        if operation.is_subscription:
            return refusal(bad_input("a subscription needs a WebSocket (graphql-transport-ws) or text/event-stream"))
        try:
            async with asyncio.timeout(self._limits.execution_s):
                if operation.publish is not None:
                    publish = operation.publish.read(request.variables)
                    if publish is not None:
                        return await self._publish(operation.publish, publish, caller)
                return await self._execute(operation, request, caller)
        except EsbError as error:
            return refusal(error)
        except TimeoutError:
            return refusal(
                EsbError(ErrorCode.TIMEOUT, f"the operation took longer than {self._limits.execution_s:g} seconds")
            )

    async def follow(self, operation: Operation, request: GraphQLRequest, caller: Caller) -> Following | Answer:
        """Begin a subscription: what to iterate over (and to close), or the answer that says why there is nothing."""
        try:
            async with asyncio.timeout(self._limits.execution_s):
                if operation.subscription is not None:
                    compiled = await self._compiled(operation.subscription, request, caller)
                    if compiled is not None:
                        return compiled
                return await self._executed(operation, request, caller)
        except Ended as failure:
            return _refusal(failure.errors)
        except EsbError as error:
            return refusal(error)
        except TimeoutError:
            return refusal(EsbError(ErrorCode.TIMEOUT, "the subscription could not begin in time"))

    async def _compiled(self, plan: SubscriptionPlan, request: GraphQLRequest, caller: Caller) -> Compiled | None:
        try:
            prepared = self._prepared.get(plan, request.variables)
        except EsbError as error:
            raise ended(error, plan.field) from error
        if prepared is None:
            return None
        self._check(prepared.cost)
        try:
            context = self._context(caller, request.resume)
            return Compiled(await subscribe(context, prepared.asked, prepared.shape), prepared.shape, plan)
        except Exception as error:
            raise ended(error, plan.field) from error

    async def _executed(self, operation: Operation, request: GraphQLRequest, caller: Caller) -> Executed | Answer:
        variables = decode_variables(request.variables)
        self._afford(operation, variables)
        executor = ExecutorThrowingOnIncremental.build(
            self._schema,
            operation.document,
            context_value=self._context(caller, request.resume),
            raw_variable_values=variables,
            operation_name=operation.name,
        )
        if not isinstance(executor, Executor):
            return _refusal(formatted_all(executor))
        source = create_source_event_stream(executor)
        stream = source if isinstance(source, AsyncIterable | ExecutionResult) else await source
        if isinstance(stream, ExecutionResult):
            return _refusal(formatted_all(stream.errors or []))
        return Executed(stream, executor, operation, self._shared(operation, request))

    def _shared(self, operation: Operation, request: GraphQLRequest) -> Shared | None:
        """What is shown depends on the operation and the variables its selection names."""
        plan = operation.subscription
        choice = None if plan is None else plan.choice(request.variables)
        return None if choice is None else Shared(self._executions, (plan, choice))

    async def _publish(self, plan: PublishPlan, said: Publish, caller: Caller) -> Answer:
        admission, context = self._services.admission, self._context(caller)
        try:
            if plan.single:
                receipt = await admission.publish_one(caller.principal, said.events[0], client=caller.client)
                shown = plan.show([(0, receipt)], (), context.sign)
            else:
                report = await admission.publish(
                    caller.principal, said.events, client=caller.client, atomic=said.atomic
                )
                shown = plan.show(report.receipts, report.rejections, context.sign)
        except Exception as error:
            errors = [formatted(located_error(error, [plan.field], [plan.key]))]
            return _answer(None, errors, plan.cost)
        return _answer({plan.key: shown}, [], plan.cost)

    async def _execute(self, operation: Operation, request: GraphQLRequest, caller: Caller) -> Answer:
        variables = decode_variables(request.variables)
        cost = self._afford(operation, variables)
        if operation.query is not None:
            try:
                found = await operation.query.run(variables, self._context(caller))
            except Unfit:
                pass
            else:
                return _answer(found.data, formatted_all(found.errors), cost)
        result = execute(
            self._schema,
            operation.document,
            context_value=self._context(caller),
            variable_values=variables,
            operation_name=operation.name,
            executor_class=ExecutorThrowingOnIncremental,
        )
        if not isinstance(result, ExecutionResult):
            result = await result
        errors = formatted_all(result.errors or [])
        if result.data is None and all(error.path is None for error in result.errors or []):
            return _refusal(errors)  # variables did not coerce: nothing was run
        return _answer(result.data, errors, cost)

    def _afford(self, operation: Operation, variables: Mapping[str, object]) -> int:
        return self._check(operation.measure.cost(variables))

    def _check(self, cost: int) -> int:
        if cost > self._limits.cost:
            raise EsbError(
                ErrorCode.TOO_COMPLEX,
                f"the operation may return {cost} objects, at most {self._limits.cost} are allowed; ask for less",
                details={"cost": cost, "limit": self._limits.cost},
            )
        return cost

    def _context(self, caller: Caller, resume: str | None = None) -> Context:
        return Context(caller.principal, self._services, caller.client, current_request_id(), resume)


def refusal(error: EsbError) -> Answer:
    """The answer to a request of which nothing was run."""
    return _refusal(formatted_refusal(error))


def _refusal(errors: list[dict[str, Any]]) -> Answer:
    return Answer(_encoder.encode({"errors": errors}), False, errors)


def _answer(data: Any, errors: list[dict[str, Any]], cost: int) -> Answer:
    body: dict[str, Any] = {"data": data, "errors": errors} if errors else {"data": data}
    body["extensions"] = {"cost": cost}
    try:
        return Answer(_encoder.encode(body), True, errors)
    except (msgspec.EncodeError, TypeError, UnicodeEncodeError) as problem:
        _log.exception("result cannot be encoded")
        failed = [formatted(GraphQLError("", path=[], original_error=problem))]
        return Answer(_encoder.encode({"data": None, "errors": failed}), True, failed)


__all__ = ["Answer", "Caller", "Operations", "refusal"]
