"""The price book: whether it can be reached, keeps what it is given, and has room."""

from pathlib import Path

from fms.bootstrap import PRICES_FILE
from fms.doctor.findings import ANSWER_SECONDS, Finding, error, ok, warning
from fms.doctor.servers import skew
from fms.model.clock import HOUR_MS, Clock, format_instant
from fms.settings import Settings

SERVICE = "price book"
OLDEST_REDIS = 6
FULL_PERCENT = 80


def price_book(settings: Settings, clock: Clock) -> list[Finding]:
    """The one that the settings name; raises as its store does."""
    if settings.price_book_url is None:
        return _file(settings.data / PRICES_FILE, clock)
    return _redis(settings.price_book_url.get_secret_value(), clock)


def _file(path: Path, clock: Clock) -> list[Finding]:
    from fms.pricebook.sqlite import SqlitePageStore

    if not path.exists():
        return [ok(SERVICE, "reachable", f"{path}: not there yet: it is made when it is first used")]
    with SqlitePageStore(path, busy_seconds=ANSWER_SECONDS) as store:
        mode, newest = store.journal_mode(), store.newest()
    found = f"SQLite, journal_mode {mode}"
    advice = "put it on a local file system: this one does not let SQLite use WAL"
    durable = ok(SERVICE, "durability", found) if mode == "wal" else error(SERVICE, "durability", found, advice)
    return [ok(SERVICE, "reachable", str(path)), durable, _newest(newest, clock)]


def _newest(newest: int, clock: Clock) -> Finding:
    if not newest:
        return ok(SERVICE, "newest fare", "none yet")
    found = f"observed at {format_instant(newest)}"
    if newest > clock() + HOUR_MS:
        return warning(
            SERVICE, "newest fare", f"{found}, which is still to come", "is the clock of this machine right?"
        )
    return ok(SERVICE, "newest fare", found)


def _redis(url: str, clock: Clock) -> list[Finding]:
    from fms.doctor.redis import redis_server
    from fms.pricebook.redis.health import examine

    health = examine(url, ANSWER_SECONDS, clock)
    several = len(health.servers) > 1
    found = []
    for number, one in enumerate(health.servers, 1):
        service = f"{SERVICE} {number}" if several else SERVICE
        found += [*redis_server(service, one), skew(service, one.ahead_ms)]
    return [*found, _newest(health.newest, clock)]
