"""The hosts that are posted to: what waits for each, and with how much at once it is trusted."""

from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from fms.channels.posts import Request

KNOWN_SECONDS = 300.0
"""For how long what is known of a host is kept after its last answer; longer than its connections."""

MANY = 1_000
"""So many hosts are kept without looking for those to forget."""


class Host:
    """One of them.

    How many streams it takes is not known before it has spoken (APNs takes one at first), and those that are too many
    are refused. So the requests under way are limited as TCP limits what it sends: one at first, one more with each
    that is answered, half as many with each that is not.

    Args:
        most: requests under way at once.
        now: seconds that only grow.
    """

    def __init__(self, most: int, now: float) -> None:
        self.waiting: deque[Request] = deque()
        self.speaks_http_1 = False
        self._most = most
        self._window = 1
        self._under_way = 0
        self._ended_at = now

    def next(self) -> Request | None:
        """The request to begin now, which then is under way until its ``end``; None: none, or there is no room."""
        if not self.waiting or self._under_way >= self._window:
            return None
        self._under_way += 1
        return self.waiting.popleft()

    def end(self, *, is_answered: bool, now: float) -> None:
        """A request has ended."""
        self._under_way -= 1
        self._ended_at = now
        self._window = min(self._most, self._window + 1) if is_answered else max(1, self._window // 2)

    def is_forgotten(self, now: float) -> bool:
        """Whether nothing has been posted to it for so long that nothing is known any more."""
        return not self._under_way and not self.waiting and now - self._ended_at >= KNOWN_SECONDS


class Hosts:
    """All of them.

    Args:
        most: requests under way to one at once.
        now: seconds that only grow.
    """

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._hosts: dict[str, Host] = {}
        self._many = MANY

    def of(self, url: str) -> Host:
        """The host of a URL; of one that is none too."""
        try:
            name = urlsplit(url).netloc
        except ValueError:
            name = ""
        now = self._now()
        if len(self._hosts) >= self._many:
            self._hosts = {other: host for other, host in self._hosts.items() if not host.is_forgotten(now)}
            self._many = max(MANY, 2 * len(self._hosts))
        host = self._hosts.get(name)
        if host is None or host.is_forgotten(now):
            host = self._hosts[name] = Host(self._most, now)
        return host

    def __len__(self) -> int:
        return len(self._hosts)
