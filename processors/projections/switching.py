"""Letting another version be read: the one built anew, or the one before. No read fails, none goes back in time."""

import logging

from processors.projections.applying import Applier, Step
from store.projections.pointer import Pointer

_log = logging.getLogger(__name__)

_CLOSE = 2000
"""Positions that are quickly caught up with: no more are left to do while the version that is read stands still."""


async def turn_to(applier: Applier, pointer: Pointer) -> bool:
    """Make the applier's version the one that is read, once it is as far as that one. False: it is too far behind now,
    or stands still, or is not to be read any more.

    The version that is read is held where it stands for the last few events: else both would run after the same log,
    and the one behind might for ever be one batch behind.
    """
    version = applier.version
    async with pointer.hold(version) as hold:
        if hold is None or version.key not in (hold.candidate, hold.previous):
            return False
        if hold.position - applier.version.position > _CLOSE:
            return False
        while applier.version.position < hold.position:
            if await applier.step(hold.position) is not Step.MOVED:
                return False
        turned = await pointer.turn(hold, applier.version)
    if turned:
        applier.version = applier.version._replace(live=True)
        _log.info("projection %r is now read as version %d", version.declaration.name, version.number)
    return turned
