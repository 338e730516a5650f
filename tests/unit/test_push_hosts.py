"""With how much at once a host is trusted."""

from fms.channels.hosts import KNOWN_SECONDS, MANY, Host, Hosts
from fms.channels.posts import Request


def waiting(host: Host, many: int) -> Host:
    host.waiting.extend(Request("https://push.example.org/", {}, b"x", n) for n in range(many))
    return host


def begun(host: Host) -> list[object]:
    keys = []
    while (request := host.next()) is not None:
        keys.append(request.key)
    return keys


def test_the_first_request_goes_alone_and_each_answer_lets_one_more_go_than_it_was() -> None:
    host = waiting(Host(3, 0), 20)
    assert begun(host) == [0]
    host.end(is_answered=True, now=1)
    assert begun(host) == [1, 2]
    host.end(is_answered=True, now=1)
    assert begun(host) == [3, 4]
    host.end(is_answered=True, now=1)
    assert begun(host) == [5]


def test_a_failure_lets_half_as_many_go_but_one_always() -> None:
    host = waiting(Host(8, 0), 100)
    for _ in range(10):
        assert host.next()
        host.end(is_answered=True, now=1)
    assert len(begun(host)) == 8
    for _ in range(8):
        host.end(is_answered=False, now=1)
    assert len(begun(host)) == 1


def test_a_host_is_forgotten_after_a_while_but_not_while_anything_is_to_do() -> None:
    now = 0.0
    hosts = Hosts(9, lambda: now)
    idle, busy, full = (hosts.of(f"https://{name}.example.org/x") for name in ("idle", "busy", "full"))
    waiting(busy, 1).next()
    waiting(full, 1)
    now = KNOWN_SECONDS - 1
    assert hosts.of("https://idle.example.org/y") is idle
    now = KNOWN_SECONDS
    assert hosts.of("https://idle.example.org/y") is not idle
    assert hosts.of("https://busy.example.org/y") is busy
    assert hosts.of("https://full.example.org/y") is full


def test_many_hosts_do_not_pile_up() -> None:
    now = 0.0
    hosts = Hosts(9, lambda: now)
    for n in range(20 * MANY):
        now += 1
        hosts.of(f"https://{n}.example.org/")
    assert len(hosts) <= MANY
