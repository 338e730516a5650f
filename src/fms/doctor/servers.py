"""The servers and files that SQL databases are on: whether they keep what they are given, and have room for workers."""

from collections.abc import Mapping

from fms.doctor.findings import Finding, error, ok, warning
from fms.model.route import PARTITIONS, SLOTS
from fms.shards.health import DatabaseHealth

OLDEST_POSTGRES = 13
MOST_SKEW_MS = 2_000
"""Leases are counted by the clocks of machines; by so much they may differ without a word."""

SLOTS_OF_A_BATCH = SLOTS // PARTITIONS
"""A transaction of match or notify locks every slot that it writes to: at most those of one partition."""

LOCKS_OF_A_MONTH, OTHER_LOCKS = 3, 20
"""A month's table and its two indexes; and the tables that are not partitioned, with theirs."""

WRITERS = 2 * PARTITIONS
"""Workers of match and notify that can be active at once."""

CONNECTIONS_OF_A_PROCESS = 2
"""Those that an engine keeps to a database."""

FEW_PROCESSES = 4

_SQLITE_FULL = "2"


def database(service: str, health: DatabaseHealth) -> list[Finding]:
    """What may differ between the databases of one server, or the file of a database."""
    if health.server is None:
        return [_journal(service, health.settings)]
    return [_commit(service, health.settings)]


def _journal(service: str, settings: Mapping[str, str]) -> Finding:
    mode, synchronous = settings["journal_mode"], settings["synchronous"]
    found = f"SQLite, journal_mode {mode}, synchronous {synchronous}"
    if mode != "wal":
        return error(
            service, "durability", found, "put it on a local file system: this one does not let SQLite use WAL"
        )
    if synchronous != _SQLITE_FULL:
        return error(service, "durability", found, "use an SQLite that obeys PRAGMA synchronous = FULL")
    return ok(service, "durability", found)


def _commit(service: str, settings: Mapping[str, str]) -> Finding:
    value = settings["synchronous_commit"]
    found = f"synchronous_commit is {value}"
    if value == "off":
        return error(service, "durability", found, "turn it on: a crash of the server loses alerts that were promised")
    if value in ("local", "remote_write") and settings.get("synchronous_standby_names"):
        return warning(service, "durability", found, "turn it on: a standby that takes over may lack the last commits")
    return ok(service, "durability", found)


def server(service: str, health: DatabaseHealth, databases: int, months: int) -> list[Finding]:
    """A PostgreSQL server with so many databases of ours, whose windows have partitions for so many months."""
    return [
        _version(service, health),
        *_durability(service, health.settings),
        _locks(service, health.settings, months),
        _connections(service, health, databases),
        skew(service, health.ahead_ms),
    ]


def _version(service: str, health: DatabaseHealth) -> Finding:
    found = f"PostgreSQL {health.settings['server_version']}"
    if int(health.settings["server_version_num"]) < OLDEST_POSTGRES * 10_000:
        return error(service, "version", found, f"upgrade it to {OLDEST_POSTGRES} or newer")
    if health.standby:
        return error(service, "version", f"{found}, a standby, which takes no writes", "name the primary in the URL")
    return ok(service, "version", found)


def _durability(service: str, settings: Mapping[str, str]) -> list[Finding]:
    names = ("fsync", "full_page_writes")
    off = [name for name in names if settings[name] != "on"]
    advice = "turn it on: a power cut destroys the database"
    found = [error(service, "durability", f"{name} is {settings[name]}", advice) for name in off]
    return found or [ok(service, "durability", f"{' and '.join(names)} are on")]


def _locks(service: str, settings: Mapping[str, str], months: int) -> Finding:
    transactions = int(settings["max_connections"]) + int(settings["max_prepared_transactions"])
    room = int(settings["max_locks_per_transaction"]) * transactions
    one = SLOTS_OF_A_BATCH + LOCKS_OF_A_MONTH * (months + 1) + OTHER_LOCKS
    found = f"room for {room:,} (max_locks_per_transaction × connections); one transaction may take {one}"
    needed = -(-one * WRITERS // transactions)
    advice = f"set max_locks_per_transaction = {needed} for {WRITERS} workers that write at once, and restart it"
    if room < 2 * one:
        return error(service, "locks", found, advice)
    if room < WRITERS * one:
        return warning(service, "locks", found, advice)
    return ok(service, "locks", found)


def _connections(service: str, health: DatabaseHealth, databases: int) -> Finding:
    most = int(health.settings["max_connections"])
    free = most - int(health.settings["superuser_reserved_connections"]) - health.connections
    processes = max(0, free) // (CONNECTIONS_OF_A_PROCESS * databases)
    found = f"{max(0, free)} of {most} are free: enough for {processes} more processes"
    if processes < FEW_PROCESSES:
        advice = f"raise max_connections: a process keeps up to {CONNECTIONS_OF_A_PROCESS * databases}"
        return warning(service, "connections", found, advice)
    return ok(service, "connections", found)


def skew(service: str, ahead_ms: int) -> Finding:
    """How far the clock of a server's machine is from ours."""
    if abs(ahead_ms) > MOST_SKEW_MS:
        way = "ahead of" if ahead_ms > 0 else "behind"
        found = f"{abs(ahead_ms) / 1000:,.1f} s {way} ours"
        return warning(service, "clock", found, "set the clocks by NTP: leases are counted by them")
    return ok(service, "clock", f"{ahead_ms / 1000:+.1f} s from ours")
