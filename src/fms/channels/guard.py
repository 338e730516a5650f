"""Which machines fms posts to when users say where: none that only fms can reach.

A name is looked up once, all its addresses are looked at, and one of them is what the request is sent to
(``Request.address``): whoever owns the name cannot have another one looked at than is connected to.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence

from fms.errors import Invalid, Transient

LONGEST = 2_048
KEPT_SECONDS = 60.0
"""For how long a name is not looked up again."""
KEPT_NAMES = 10_000

_URL = re.compile(
    r'(?i:https)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?:[/?][!"$-\[\]-~]*)?'
)
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
# Protocol assignments with Teredo, documentation, 6to4 (it holds an IPv4 address), documentation: Python's own list of
# what is not global differs from release to release.
_NOT_PUBLIC_6 = [ipaddress.IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_NOT_PUBLIC_4 = [ipaddress.IPv4Network(net) for net in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24")]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def looked_up(host: str) -> list[str]:
    """The addresses of a host's name, the best first; raises OSError and UnicodeError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)]


def is_public(address: Address) -> bool:
    """Whether it belongs to one machine that anybody can reach."""
    inner = _inner(address)
    if isinstance(inner, ipaddress.IPv4Address):
        return inner.is_global and not inner.is_multicast and not any(inner in net for net in _NOT_PUBLIC_4)
    return inner.is_global and inner in _PUBLIC_6 and not any(inner in net for net in _NOT_PUBLIC_6)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


class Guard:
    """Finds the address for a URL, if fms may post there.

    Args:
        now: seconds that only grow.
        look_up: a host's name → its addresses, the best first; OSError and UnicodeError: none.
        opens_loopback: for tests: this machine is allowed too, by name or address, on every port.
    """

    def __init__(
        self,
        now: Callable[[], float],
        look_up: Callable[[str], Sequence[str]] = looked_up,
        *,
        opens_loopback: bool = False,
    ) -> None:
        self._now = now
        self._look_up = look_up
        self._opens_loopback = opens_loopback
        self._known: dict[str, tuple[float, list[Address]]] = {}

    def address(self, url: str, attempt: int = 0) -> str:
        """The address to connect to; with other attempts the host's others.

        Looking a name up may take as long as the system lets it.

        Raises:
            Invalid: fms does not post there.
            Transient: the name has no address now.
        """
        addresses = self._addresses(self._host(url))
        if not addresses:
            raise Transient("the host's name has no address")
        if not all(map(self._allows, addresses)):
            raise Invalid("the host is not a public one")
        return str(addresses[attempt % len(addresses)])

    def _host(self, url: str) -> str:
        found = _URL.fullmatch(url) if len(url) <= LONGEST else None
        if found is None:
            raise Invalid(f"an https URL of at most {LONGEST} characters wanted, without user, password and fragment")
        port = int(found["port"] or 443)
        host = found["host"].lower().strip("[]")
        if self._opens_loopback and _is_loopback(host):
            return host
        if port != 443 and not self._opens_loopback:
            raise Invalid("port 443 wanted")
        if len(host) > 253 or not _NAME.fullmatch(host):
            raise Invalid("the name of a host wanted, no address")
        return host

    def _addresses(self, host: str) -> list[Address]:
        now = self._now()
        kept = self._known.get(host)
        if kept is None or now >= kept[0]:
            if len(self._known) >= KEPT_NAMES:
                self._known.clear()
            kept = self._known[host] = (now + KEPT_SECONDS, self._fresh(host))
        return kept[1]

    def _fresh(self, host: str) -> list[Address]:
        try:
            found = [ipaddress.ip_address(text) for text in self._look_up(host)]
        except (OSError, UnicodeError):
            return []
        # DNS gives them in another order each time, and a connection is used again only for the same one.
        return sorted(set(found), key=lambda one: (one.version != found[0].version, int(one)))

    def _allows(self, address: Address) -> bool:
        return is_public(address) or (self._opens_loopback and _inner(address).is_loopback)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
