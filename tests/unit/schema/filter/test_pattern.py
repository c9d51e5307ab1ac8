import pytest

from schema.errors import EsbError
from schema.filter.pattern import literalness, matches, validate_pattern


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("order.created", "order.created", True),
        ("order.*", "order.created", True),
        ("order.*", "order", False),
        ("order.*", "order.item.added", False),
        ("order.**", "order", True),
        ("order.**", "order.item.added", True),
        ("order.**", "orders.x", False),
        ("order.**", "order-x", False),
        ("**.added", "order.item.added", True),
        ("**.item.**", "order.item.added", True),
        ("*.item.*", "order.item.added", True),
        ("*", "order.created", False),
        ("**", "order.created", True),
        ("order.*", "Order.created", False),
    ],
)
def test_segments(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@pytest.mark.parametrize(
    "pattern", ["", ".", "a.", ".a", "a..b", "a*", "*a.b", "***", "a\n", "\0", "x" * 257, "a." * 40 + "a"]
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(EsbError):
        validate_pattern(pattern)


def test_most_literal_first() -> None:
    patterns = ["**", "order.**", "order.*", "order.item.*", "order.created", "*.created", "order.*.added", "a.b.c"]
    assert sorted(patterns, key=literalness, reverse=True) == [
        "a.b.c",
        "order.created",
        "order.item.*",
        "order.*.added",
        "order.*",
        "*.created",
        "order.**",
        "**",
    ]


def test_many_wildcards_stay_cheap() -> None:
    assert not matches(".".join(["**", "a"] * 15), ".".join(["a"] * 2000 + ["b"]))
