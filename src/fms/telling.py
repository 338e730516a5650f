"""Telling everybody as of one time: also what the outboxes still hold, and whom somebody else was telling."""

import time
from collections.abc import Callable

from fms.bootstrap import Site
from fms.stages.notify import Notify

LEAST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.05, 1.0
"""Users are mostly free long before the end of their lease."""


def tell_all(site: Site, notify: Notify, now: int, wait: Callable[[float], None] = time.sleep) -> None:
    """Sweep, then deliver as of ``now`` (UTC ms) until nobody is left out; ``wait`` passes seconds meanwhile."""
    notify.sweep()
    while (until := notify.deliver(now)) is not None:
        wait(min(LONGEST_WAIT_SECONDS, max(LEAST_WAIT_SECONDS, (until - site.clock()) / 1000)))
