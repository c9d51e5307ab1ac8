"""The served schema is a part of the public contract (tests/contract.graphql) plus additions."""

from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, print_ast

from gateway.graphql.export import TARGET, main, sdl

CONTRACT = Path(__file__).parents[3] / "contract.graphql"

# What later parts of the product bring. What is served may grow by these; nothing else of the contract may be missing.
NOT_YET = {
    "Query": {"subscriptions"},
    "Mutation": {"createSubscription", "cancelSubscription", "acknowledge", "reject"},
    "Subscription": {"deliveries", "metrics"},
    "Stream": {"ledgerRetentionMs"},
    "StreamInput": {"ledgerRetentionMs"},
    "StreamPatch": {"ledgerRetentionMs"},
    "ReplayTarget": {"projection", "processor", "endpoint", "subscription"},
}
LATER_TYPES = {
    "CancelSubscriptionResult", "Delivery", "DeliveryMode", "Distribution", "DurableSubscription",
    "DurableSubscriptionConnection", "DurableSubscriptionEdge", "MetricsSample", "RetryInput", "SettleResult",
    "SubscriptionInput",
}  # fmt: skip


def definitions(text: str) -> dict[str, Any]:
    return {node.name.value: node for node in parse(text).definitions if hasattr(node, "name")}


SERVED = definitions(sdl())
PROMISED = definitions(CONTRACT.read_text(encoding="utf-8"))
BOTH = sorted(SERVED.keys() & PROMISED.keys())


def members(node: Any) -> dict[str, Any]:
    return {
        member.name.value: member for member in getattr(node, "fields", None) or getattr(node, "values", None) or ()
    }


def argument(node: Any) -> tuple[str, str | None]:
    return print_ast(node.type), print_ast(node.default_value) if node.default_value else None


def shape(node: Any) -> Any:
    if node.kind == "enum_value_definition":
        return None
    if node.kind == "input_value_definition":
        return argument(node)
    return print_ast(node.type)


def test_only_what_comes_later_is_missing() -> None:
    assert PROMISED.keys() - SERVED.keys() == LATER_TYPES


@pytest.mark.parametrize("name", BOTH)
def test_members_are_as_promised(name: str) -> None:
    served, promised = members(SERVED[name]), members(PROMISED[name])
    assert promised.keys() - served.keys() == NOT_YET.get(name, set())
    for member in promised.keys() & served.keys():
        assert shape(served[member]) == shape(promised[member]), member


@pytest.mark.parametrize("name", BOTH)
def test_arguments_and_their_defaults_are_as_promised(name: str) -> None:
    served, promised = members(SERVED[name]), members(PROMISED[name])
    for member in promised.keys() & served.keys():
        ours = {node.name.value: argument(node) for node in getattr(served[member], "arguments", None) or ()}
        theirs = {node.name.value: argument(node) for node in getattr(promised[member], "arguments", None) or ()}
        assert theirs.items() <= ours.items(), member
        # an addition that a client would have to send would break those written for the contract
        assert not [name for name in ours.keys() - theirs.keys() if ours[name][0].endswith("!")], member


@pytest.mark.parametrize("name", BOTH)
def test_kinds_interfaces_and_one_of_are_as_promised(name: str) -> None:
    served, promised = SERVED[name], PROMISED[name]
    assert served.kind == promised.kind

    def said(node: Any) -> set[str]:
        interfaces = getattr(node, "interfaces", None) or ()
        directives = getattr(node, "directives", None) or ()
        return {one.name.value for one in (*interfaces, *directives)}

    assert said(promised) <= said(served)


def test_added_input_fields_may_be_left_out() -> None:
    for name in BOTH:
        if SERVED[name].kind == "input_object_type_definition":
            added = members(SERVED[name]).keys() - members(PROMISED[name]).keys()
            for member in added:
                assert not print_ast(members(SERVED[name])[member].type).endswith("!"), (name, member)


def test_the_exported_file_is_what_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    build_schema(TARGET.read_text(encoding="utf-8"))


def test_a_stale_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "schema.graphql"
    stale.write_text("type Query { a: Int }\n")
    monkeypatch.setattr("gateway.graphql.export.TARGET", stale)
    assert main(["--check"]) == 1
    assert "gateway.graphql.export" in capsys.readouterr().err
