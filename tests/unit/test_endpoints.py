"""Which URLs may be those of a push service."""

import pytest

from fms.accounts.endpoints import checked_endpoint
from fms.errors import Invalid

HOSTILE = [
    "", "x", "http://push.example.org/x", "ftp://push.example.org/x", "file:///etc/passwd", "//push.example.org/x",
    "https:/push.example.org/x", "https:push.example.org", "javascript:alert(1)", "https://", "https:///x",
    # another machine than it seems to be
    "https://user@push.example.org/x", "https://user:secret@push.example.org/x", "https://push.example.org@10.0.0.1/x",
    "https://push.example.org:443@evil.example/x", "https://push.example.org\\@evil.example/x",
    "https://push.example.org%2f@evil.example/", "https://push.example.org%00.evil.example/",
    "https://push.example.org#@evil.example/", "https://push.example.org/x#fragment", "https://push.example.org?\\@x/",
    # another port
    "https://push.example.org:80/x", "https://push.example.org:8443/x", "https://push.example.org:/x",
    "https://push.example.org:0443/x", "https://push.example.org:443443/x", "https://push.example.org:-443/x",
    "https://push.example.org:443:80/x", "https://push.example.org:４４３/x",
    # addresses, however they are written
    "https://127.0.0.1/x", "https://10.1.2.3/x", "https://169.254.169.254/latest/meta-data", "https://8.8.8.8/x",
    "https://127.1/x", "https://2130706433/x", "https://0x7f000001/x", "https://0x7f.0.0.1/x", "https://0177.0.0.1/x",
    "https://1.2.3.0x4/x", "https://[::1]/x", "https://[::ffff:127.0.0.1]/x", "https://[fe80::1%25eth0]/x",
    "https://::1/x", "https://[push.example.org]/x", "https://127.0.0.1./x", "https://①②⑦.⓪.⓪.①/x",
    "https://push.127/x", "https://push.0x/x",
    # machines nearby
    "https://localhost/x", "https://LOCALHOST/x", "https://localhost./x", "https://api.localhost/x",
    "https://localhost.localdomain/x", "https://printer.local/x", "https://metadata.google.internal/x",
    "https://router.home.arpa/x", "https://home.arpa/x", "https://postgres/x", "https://push.example.org./x",
    # what is no name
    "https://push..example.org/x", "https://.example.org/x", "https://-push.example.org/x",
    "https://push-.example.org/x", "https://push_1.example.org/x", "https://püsh.example.org/x",
    "https://ｐush.example.org/x", f"https://{'a' * 64}.example.org/x", f"https://{'a.' * 127}org/x",
    # what readers of URLs do not agree on
    " https://push.example.org/x", "https://push.example.org/x ", "https://push.example.org/x\n",
    "\thttps://push.example.org/x", "ht\ntps://push.example.org/x", "https://push.exam\tple.org/x",
    "https://push.example.org/a b", "https://push.example.org/x\r\nHost: evil.example", "https://push.example.org\\x",
    "https://push.example.org/x\0", "https://push.example.org/é", "https://push.example.org/\ud800",
    # one subscription under many names
    "https://push.example.org/a/../x", "https://push.example.org/./x", "https://push.example.org/x/..",
    "https://push.example.org//x", "https://push.example.org/%78", "https://push.example.org/a%2e%2e/x",
    "https://push.example.org/x?a=%", "https://push.example.org/x?a=%zz",
    "https://push.example.org/" + "x" * 2_048,
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
def test_a_hostile_url_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        checked_endpoint(url)


REAL = [
    "https://fcm.googleapis.com/fcm/send/cZ-1_2:APA91bF-x~y.z",
    "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABlQ-x_Y",
    "https://web.push.apple.com/QGuQyavXutnMH-x",
    "https://db5p.notify.windows.com/w/?token=BQYAAADFt%2BzM%3D",
    "https://" + "a" * 63 + ".example.org/",
    "https://push.example.org/" + "x" * (2_048 - len("https://push.example.org/")),
]


@pytest.mark.parametrize("url", REAL, ids=[url[8:28] for url in REAL])
def test_the_endpoint_of_a_push_service_is_kept_as_it_is(url: str) -> None:
    assert checked_endpoint(url) == url


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("HTTPS://Push.EXAMPLE.org/X", "https://push.example.org/X"),
        ("https://push.example.org:443/X", "https://push.example.org/X"),
        ("https://push.example.org", "https://push.example.org/"),
        ("https://push.example.org?a=b", "https://push.example.org/?a=b"),
        ("https://push.example.org/x?a=%2b%41%7e", "https://push.example.org/x?a=%2BA~"),
    ],
)
def test_an_endpoint_is_the_same_however_it_is_written(url: str, kept: str) -> None:
    assert checked_endpoint(url) == kept
    assert checked_endpoint(kept) == kept
