import json
import os

import pytest

from tests.benchmarks.harness import Comparison, compare, finish, percentile, used


async def test_sides_take_turns_and_the_median_of_the_pairs_counts(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    async def ours() -> float:
        order.append("ours")
        return 10.0 * len(order)

    async def theirs() -> float:
        order.append("theirs")
        return 10.0 * len(order)

    result = await compare(ours, {"theirs": theirs}, pairs=2)
    assert order == ["ours", "theirs", "ours", "theirs", "theirs", "ours"]
    assert result == Comparison([30.0, 60.0], {"theirs": [40.0, 50.0]})
    capsys.readouterr()


def test_the_last_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    finish("ledger-append", Comparison([1.0, 2.0, 6.0], {"copy": [2.0, 2.0, 2.0]}).summary(), p95_ms=4)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "name": "ledger-append",
        "ours": 2.0,
        "peers": {"copy": 2.0},
        "ratio": 1.0,
        "spread": [0.5, 3.0],
        "p95_ms": 4,
    }


def test_several_peers_have_a_ratio_each() -> None:
    summary = Comparison([4.0], {"a": [2.0], "b": [8.0]}).summary()
    assert summary["ratio"] == {"a": 2.0, "b": 0.5}


def test_cpu_time_is_what_the_process_worked() -> None:
    with used(os.getpid()) as result:
        sum(range(3_000_000))
    assert 0 < result.cpu_seconds <= result.seconds + 0.05


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (95, 10), (100, 10), (0, 1)])
def test_percentile(percent: int, value: int) -> None:
    assert percentile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], percent) == value
