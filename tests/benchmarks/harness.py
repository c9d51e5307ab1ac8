"""How a benchmark compares ours with others': in turns, in pairs, on one machine whose speed wanders.

An absolute rate on a shared machine says little; the ratio within a pair, measured seconds apart, says much. So each
pair runs all sides once, every second pair in the other order, and what counts is the median of the pairs' ratios. The
last line printed is one JSON object, ``{"name", "ours", "peers", "ratio", "spread", …}``, for scripts.
"""

import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

PAIRS = 7

Measure = Callable[[], Awaitable[float]]
"""One measured run of one side; returns its rate, in units the benchmark names: higher is better."""


@dataclass(frozen=True)
class Comparison:
    """All the rates of one comparison, one entry a pair.

    Parameters
    ----------
    ours, peers:
        The rates in the order they were measured.
    """

    ours: Sequence[float]
    peers: Mapping[str, Sequence[float]]

    def ratios(self, peer: str) -> list[float]:
        """Ours over the peer's, pair by pair."""
        return [mine / theirs for mine, theirs in zip(self.ours, self.peers[peer], strict=True)]

    def ratio(self, peer: str) -> float:
        """The median of the pairs' ratios."""
        return statistics.median(self.ratios(peer))

    def spread(self, peer: str) -> list[float]:
        """The smallest and the largest of the pairs' ratios."""
        ratios = self.ratios(peer)
        return [round(min(ratios), 3), round(max(ratios), 3)]

    def summary(self) -> dict[str, Any]:
        """The figures of the last line: medians, and per peer the ratio and its smallest and largest value."""
        ratios = {peer: round(self.ratio(peer), 3) for peer in self.peers}
        spread = {
            peer: [round(min(all_), 3), round(max(all_), 3)] for peer in self.peers if (all_ := self.ratios(peer))
        }
        only = next(iter(self.peers)) if len(self.peers) == 1 else None
        return {
            "ours": round(statistics.median(self.ours), 1),
            "peers": {peer: round(statistics.median(rates), 1) for peer, rates in self.peers.items()},
            "ratio": ratios[only] if only else ratios,
            "spread": spread[only] if only else spread,
        }


async def compare(ours: Measure, peers: Mapping[str, Measure], *, pairs: int = PAIRS, warm: bool = True) -> Comparison:
    """Run all sides in turns and print each pair.

    Parameters
    ----------
    ours, peers:
        The sides. Each leaves the machine as it found it.
    pairs:
        How many measured rounds, at least 7 for a figure anybody should quote.
    warm:
        Run every side once before, unmeasured: caches, plans and lazily imported modules.
    """
    sides = {"ours": ours, **peers}
    rates: dict[str, list[float]] = {side: [] for side in sides}
    if warm:
        for measure in sides.values():
            await measure()
    for pair in range(pairs):
        for side in reversed(sides) if pair % 2 else sides:
            rates[side].append(await sides[side]())
        print(f"pair {pair + 1}: " + "  ".join(f"{side} {rates[side][-1]:,.0f}" for side in sides), flush=True)
    return Comparison(rates.pop("ours"), rates)


@dataclass
class Used:
    """What a block of code took."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    counted: list[psutil.Process] = field(default_factory=list, repr=False)


@contextmanager
def used(*pids: int) -> Iterator[Used]:
    """Wall time of the block, and CPU time (user and system) of the given processes in it, without their children."""
    result = Used(counted=[psutil.Process(pid) for pid in pids])
    cpu, started = _cpu(result.counted), time.perf_counter()
    yield result
    result.seconds = time.perf_counter() - started
    result.cpu_seconds = _cpu(result.counted) - cpu


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that many per cent of them do not exceed."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def finish(name: str, figures: Mapping[str, Any], **more: Any) -> None:
    """Print the one JSON line a benchmark ends with."""
    print(json.dumps({"name": name, **figures, **more}), flush=True)


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))
