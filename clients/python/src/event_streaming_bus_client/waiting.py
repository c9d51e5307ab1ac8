"""Waiting before another try: longer each time, half of it random, so that those who collided do not collide again."""

import asyncio
import random


async def pause(failures: int, *, first: float, most: float, least: float = 0.0) -> None:
    """Sleep after so many tries failed in a row: from `first` seconds, doubling up to `most`, never below `least`."""
    longest = min(most, first * 2 ** min(failures, 16))
    await asyncio.sleep(max(least, random.uniform(longest / 2, longest)))  # noqa: S311 - spreads load, no secret
