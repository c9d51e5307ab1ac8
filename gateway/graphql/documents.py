"""Documents, parsed and validated once for each text."""

from collections import OrderedDict
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from gateway.graphql.compiled import QueryPlan, plan_query
from gateway.graphql.cost import Measure, Meter, aliases
from gateway.graphql.limits import OperationLimits
from gateway.graphql.publish_plan import PublishPlan, plan_publish
from gateway.graphql.subscription_plan import SubscriptionPlan, plan_subscription
from schema.errors import ErrorCode, EsbError, bad_input

_RULES = (*specified_rules, OneOfInputValidationRule)
# syntax tree and plans, for each character of text; measured on the acceptance suite's operations
_BYTES_A_CHARACTER = 60
_BYTES_A_DOCUMENT = 4096


class DocumentErrors(Exception):
    """The document cannot be run: syntax, validation or limits."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, and what was found out about it.

    `query`, `publish`, `subscription`: how it runs without graphql-core, where it can.
    """

    name: str | None
    node: OperationDefinitionNode
    document: DocumentNode
    measure: Measure
    query: QueryPlan | None
    publish: PublishPlan | None
    subscription: SubscriptionPlan | None

    @property
    def is_subscription(self) -> bool:
        """Whether it follows the log."""
        return self.node.operation is OperationType.SUBSCRIPTION

    @property
    def is_mutation(self) -> bool:
        """Whether it changes anything."""
        return self.node.operation is OperationType.MUTATION


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document."""

    operations: tuple[Operation, ...]

    def operation(self, name: str | None) -> Operation:
        """The operation to run; raises BAD_INPUT as the specification's GetOperation does."""
        if name is None:
            if len(self.operations) == 1:
                return self.operations[0]
            raise bad_input(f"the document has {len(self.operations)} operations: operationName must name one")
        for operation in self.operations:
            if operation.name == name:
                return operation
        raise bad_input(f"unknown operation named {name!r}")


class Documents:
    """Least recently used documents, bounded by the memory they are estimated to take.

    Only valid ones are kept: or invalid ones, which cost a client nothing to invent, would push them out.
    """

    def __init__(self, schema: GraphQLSchema, limits: OperationLimits, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._schema = schema
        self._limits = limits
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def get(self, text: str) -> Document:
        """The document of a text; raises DocumentErrors."""
        document = self._kept.get(text)
        if document is not None:
            self._kept.move_to_end(text)
            return document
        document = self._read(text)
        self._kept[text] = document
        self._bytes += _size(text)
        while self._bytes > self._max_bytes:
            gone, _ = self._kept.popitem(last=False)
            self._bytes -= _size(gone)
        return document

    def _read(self, text: str) -> Document:
        limits = self._limits
        if len(text) > limits.document_chars:
            raise _too_complex(f"a document holds at most {limits.document_chars} characters")
        try:
            tree = parse(text, max_lexical_tokens=limits.tokens, max_comments=limits.tokens)
        except GraphQLError as error:
            if "contains more than" in error.message:
                raise _too_complex(f"a document holds at most {limits.tokens} tokens") from None
            raise DocumentErrors([error]) from None
        if aliases(d.selection_set for d in tree.definitions if hasattr(d, "selection_set")) > limits.aliases:
            raise _too_complex(f"a document renames at most {limits.aliases} fields")
        errors = validate(self._schema, tree, _RULES)
        if errors:
            raise DocumentErrors(errors)
        fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}
        meter = Meter(self._schema, fragments)
        operations = [d for d in tree.definitions if isinstance(d, OperationDefinitionNode)]
        return Document(tuple(self._operation(node, tree, meter, fragments) for node in operations))

    def _operation(
        self,
        node: OperationDefinitionNode,
        tree: DocumentNode,
        meter: Meter,
        fragments: dict[str, FragmentDefinitionNode],
    ) -> Operation:
        measure = meter.operation(node)
        if measure.depth > self._limits.depth:
            raise _too_complex(f"an operation is at most {self._limits.depth} fields deep, not {measure.depth}")
        return Operation(
            name=node.name.value if node.name else None,
            node=node,
            document=tree,
            measure=measure,
            query=plan_query(self._schema, node, fragments),
            publish=plan_publish(node, measure.cost({})) if node.operation is OperationType.MUTATION else None,
            subscription=plan_subscription(self._schema, tree, node, fragments, measure),
        )


def _too_complex(why: str) -> DocumentErrors:
    return DocumentErrors([GraphQLError(why, original_error=EsbError(ErrorCode.TOO_COMPLEX, why))])


def _size(text: str) -> int:
    return _BYTES_A_DOCUMENT + _BYTES_A_CHARACTER * len(text)
