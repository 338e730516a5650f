"""Which machines fms posts to when users say where."""

import socket

import pytest

from fms.channels.guard import KEPT_SECONDS, Guard
from fms.errors import Invalid, Transient

PUBLIC = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


class Names:
    """DNS as a test wants it, which counts the questions."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: list[str] = list(addresses)
        self.asked: list[str] = []

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return self.addresses


def guard(*addresses: str, opens_loopback: bool = False) -> Guard:
    return Guard(lambda: 0.0, Names(*addresses), opens_loopback=opens_loopback)


URLS = [
    "", "https://", "https:///x", "http://push.example.org/", "HTTP://push.example.org/", "ftp://push.example.org/",
    "file:///etc/passwd", "gopher://push.example.org/", "//push.example.org/", "push.example.org",
    "https:push.example.org", "https:/push.example.org/", "https://push.example.org:80/", "https://push.example.org:8443/",
    "https://push.example.org:0/", "https://push.example.org:/", "https://push.example.org:65979/",
    "https://push.example.org:443:80/", "https://push.example.org:-1/", "https://push.example.org:４４３/",
    "https://user@push.example.org/", "https://user:secret@push.example.org/", "https://push.example.org@10.0.0.1/",
    "https://push.example.org:443@evil.example/", "https://evil.example\\@push.example.org/",
    "https://push.example.org#@evil.example/", "https://push.example.org/#x", "https://push.example.org?\\@evil/",
    "https://127.0.0.1/", "https://10.1.2.3/", "https://8.8.8.8/", "https://127.1/", "https://2130706433/",
    "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/", "https://1.2.3.0x4/", "https://[::1]/",
    "https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://[2606:4700::1111]/", "https://::1/",
    "https://push..example.org/", "https://.example.org/", "https://push.example.org./", "https://-push.example.org/",
    "https://push_1.example.org/", "https://püsh.example.org/", "https://①②⑦.⓪.⓪.①/", f"https://{'a' * 64}.org/",
    f"https://{'a.' * 127}org/", " https://push.example.org/", "https://push.example.org/ ",
    "https://push.example.org/\n", "https://push.example.org/x y", "https://push.exam\tple.org/",
    "https://push.example.org/\r\nHost: evil", "https://push.example.org/\0", "https://push.example.org/é",
    "https://push.example.org/" + "x" * 2_048,
]  # fmt: skip


@pytest.mark.parametrize("url", URLS, ids=[str(n) for n in range(len(URLS))])
def test_a_url_that_could_lead_elsewhere_is_refused_unasked(url: str) -> None:
    names = Names(*PUBLIC)
    with pytest.raises(Invalid):
        Guard(lambda: 0.0, names).address(url)
    assert names.asked == []


ADDRESSES = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1",  # noqa: S104  # nothing is bound
    "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.254", "192.0.0.1", "192.0.0.9", "192.0.2.1",
    "192.88.99.1", "192.168.0.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:100.64.0.1",
    "::ffff:224.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8",
    "100::1", "2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1", "ff0e::1", "4000::1", "fd00:ec2::254",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_name_for_a_machine_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(Invalid):
        guard(address).address("https://push.example.org/")


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:10.0.0.1", "fe80::1"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_such_address_among_public_ones_is_enough(address: str, place: int) -> None:
    with pytest.raises(Invalid):
        guard(*PUBLIC[:place], address, *PUBLIC[place:]).address("https://push.example.org/")


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "142.250.1.95", "2606:4700::1111", "2a00:1450:4001:80b::200a", "::ffff:8.8.8.8",
     "64:ff9b::8.8.8.8"],
)  # fmt: skip
def test_a_public_address_is_given(address: str) -> None:
    assert guard(address).address("https://push.example.org/x?y=%20") == str(guard(address).address("https://a.org"))


@pytest.mark.parametrize("url", ["https://push.example.org", "HTTPS://Push.Example.ORG:443/x?token=a%2Bb&c=[d]"])
def test_an_ordinary_url_passes_and_its_name_is_asked_for_in_small_letters(url: str) -> None:
    names = Names(*PUBLIC)
    assert Guard(lambda: 0.0, names).address(url) == PUBLIC[0]
    assert names.asked == ["push.example.org"]


def test_a_name_is_asked_for_once_in_a_while_and_what_it_stands_for_then_is_looked_at() -> None:
    now = 0.0
    names = Names("8.8.8.8")
    asking = Guard(lambda: now, names)
    assert asking.address("https://push.example.org/") == "8.8.8.8"
    names.addresses = ["127.0.0.1"]
    now = KEPT_SECONDS - 1
    assert asking.address("https://push.example.org/other") == "8.8.8.8"
    now = KEPT_SECONDS
    with pytest.raises(Invalid):
        asking.address("https://push.example.org/")
    assert len(names.asked) == 2


def test_a_name_without_address_may_have_one_later() -> None:
    with pytest.raises(Transient):
        guard().address("https://push.example.org/")


def test_however_dns_orders_them_the_first_attempt_goes_to_the_same_address_and_others_to_others() -> None:
    addresses = ["8.8.8.8", "1.1.1.1", PUBLIC[1]]
    first = [guard(*addresses).address("https://a.org", n) for n in range(4)]
    assert first == ["1.1.1.1", "8.8.8.8", PUBLIC[1], "1.1.1.1"]
    assert guard("1.1.1.1", PUBLIC[1], "8.8.8.8").address("https://a.org") == "1.1.1.1"
    assert guard(PUBLIC[1], "8.8.8.8", "1.1.1.1").address("https://a.org") == PUBLIC[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_switch_for_tests_opens_this_machine(address: str) -> None:
    assert guard(address, opens_loopback=True).address("https://push.test:8443/") == address


@pytest.mark.parametrize("address", [one for one in ADDRESSES if "127." not in one and one != "::1"])
def test_the_switch_for_tests_opens_nothing_else(address: str) -> None:
    with pytest.raises(Invalid):
        guard(address, opens_loopback=True).address("https://push.test:8443/")
