"""A query that is run without graphql-core: arguments coerced, use cases called, answers built by closures.

Plain is everything but introspection: fields, arguments, aliases, fragments, interfaces, @skip and @include. What goes
wrong below the root is rare, and a query may be asked twice: it is `Unfit`, graphql-core runs the whole of it again and
says which part of the answer is null for it. A property test holds both to the same bytes
(tests/property/gateway/test_query_plan.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    is_non_null_type,
    located_error,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues

from gateway.graphql.compiled.arguments import Variables
from gateway.graphql.compiled.objects import Read, Selections
from gateway.graphql.compiled.run import Info, Run, Unfit
from resolvers.context import Context

# 2 to the power of it is how often one operation may be compiled
_MAX_SWITCHES = 3


class Result(NamedTuple):
    """`data` and `errors` of a response."""

    data: dict[str, Any] | None
    errors: Sequence[GraphQLError]


class _Compiled(NamedTuple):
    """`only`: the name, the nodes and the nullability of the root field where there is but one."""

    build: Read
    needs_sources: bool
    only: "_Root | None"


class _Root(NamedTuple):
    key: str
    nodes: Sequence[Any]
    nullable: bool


class QueryPlan:
    """How one query runs. `switches`: the variables that decide what is selected."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        switches: Sequence[str],
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = {name: FragmentDetails(definition) for name, definition in fragments.items()}
        self._variables = Variables(schema, operation.variable_definitions or ())
        self._switches = switches
        self._compiled: dict[tuple[bool, ...], _Compiled | None] = {}

    async def run(self, said: Mapping[str, Any], context: Context) -> Result:
        """The result for these variables; raises Unfit where graphql-core must do it."""
        coerced = self._variables.coerced(said)
        compiled = self._for(coerced)
        run = Run(Info(context), coerced, self._variables.full(said) if compiled.needs_sources else None)
        try:
            data = compiled.build(None, run)
        except Exception as error:
            run.abandon()
            raise Unfit from error
        return await self._settled(compiled, run, data)

    async def _settled(self, compiled: _Compiled, run: Run, data: dict[str, Any]) -> Result:
        try:
            if compiled.only is not None and run.pending:
                failed = await self._ask(compiled.only, run)
                if failed is not None:
                    return failed
            await run.settle()
        except Exception as error:
            raise Unfit from error
        return Result(data, ())

    async def _ask(self, root: "_Root", run: Run) -> Result | None:
        """The only field there is: if it fails, nothing of the answer is left to be worked out."""
        one = run.pending.pop()
        try:
            answer = await one.asked
        except Unfit:
            raise
        except Exception as error:
            located = located_error(error, root.nodes, [root.key])
            return Result({root.key: None} if root.nullable else None, [located])
        try:
            one.holder[one.key] = one.complete(answer, run)
        except Exception:
            run.abandon()
            raise
        return None

    def _for(self, coerced: Mapping[str, Any]) -> _Compiled:
        try:
            choice = tuple([coerced[name] for name in self._switches])
        except KeyError:
            raise Unfit from None
        if choice not in self._compiled:
            self._compiled[choice] = self._compile(dict(zip(self._switches, choice, strict=True)))
        compiled = self._compiled[choice]
        if compiled is None:
            raise Unfit
        return compiled

    def _compile(self, switches: dict[str, Any]) -> _Compiled | None:
        if not all(isinstance(value, bool) for value in switches.values()):
            return None
        selections = Selections(self._schema, self._operation, self._fragments, VariableValues({}, switches))
        try:
            selected, build = selections.root()
        except Unfit:
            return None
        return _Compiled(build, selections.needs_sources, self._only(selected))

    def _only(self, selected: Mapping[str, Any]) -> _Root | None:
        if len(selected) != 1:
            return None
        key, details = next(iter(selected.items()))
        assert self._schema.query_type is not None
        field = self._schema.query_type.fields.get(details[0].node.name.value)
        nullable = field is not None and not is_non_null_type(field.type)
        return _Root(key, [detail.node for detail in details], nullable)


def plan_query(
    schema: GraphQLSchema, node: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> QueryPlan | None:
    """The plan of a validated query; None where it is none, or not plain. It is compiled when it is first run."""
    if node.operation is not OperationType.QUERY or node.directives:
        return None
    found = _Switches()
    for part in (node, *fragments.values()):
        visit(part, found)
    declared = {definition.variable.name.value for definition in node.variable_definitions or ()}
    switches = found.names & declared  # the others are of the document's other operations
    if len(switches) > _MAX_SWITCHES:
        return None
    return QueryPlan(schema, node, fragments, sorted(switches))


class _Switches(Visitor):
    """Finds the variables in @skip and @include."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: Any, *_: Any) -> None:
        for argument in node.arguments or ():
            if isinstance(argument.value, VariableNode):
                self.names.add(argument.value.name.value)
