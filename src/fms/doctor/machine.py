"""The machine that we are on, and the data directory."""

import platform
import shutil
import sqlite3
import tempfile
from pathlib import Path

from fms.doctor.findings import Finding, error, ok, warning
from fms.model.clock import Clock, format_instant, parse_instant

LITTLE_MEMORY_MB = 512
LITTLE_DISK_MB, NO_DISK_MB = 1_024, 64
OLDEST_SQLITE = (3, 35)
"""The first that answers the rows which a statement wrote."""

BEFORE_FMS = parse_instant("2026-01-01T00:00:00Z")

_MEMORY = Path("/proc/meminfo")


def machine(clock: Clock) -> list[Finding]:
    """What we run on."""
    return [_versions(), _memory(), _clock(clock)]


def _versions() -> Finding:
    found = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return error("machine", "versions", found, "use a Python with SQLite 3.35 or newer")
    return ok("machine", "versions", found)


def _memory() -> Finding:
    free = _free_memory_mb()
    if free is None:
        return ok("machine", "memory", "this system does not say how much is free")
    found = f"{free:,} MB free"
    if free < LITTLE_MEMORY_MB:
        return warning("machine", "memory", found, f"have {LITTLE_MEMORY_MB} MB free: fewer workers, or more memory")
    return ok("machine", "memory", found)


def _free_memory_mb() -> int | None:
    if not _MEMORY.exists():
        return None
    found = [line.split() for line in _MEMORY.read_text().splitlines() if line.startswith("MemAvailable:")]
    return int(found[0][1]) // 1024 if found else None


def _clock(clock: Clock) -> Finding:
    now = clock()
    if now < BEFORE_FMS:
        return error("machine", "clock", f"it says {format_instant(now)}", "set the clock: fares would be refused")
    return ok("machine", "clock", f"it says {format_instant(now)}")


def directory(data: Path) -> list[Finding]:
    """Whether the data directory, or one that is to be made, can be written to and has room."""
    there = next(path for path in (data, *data.absolute().parents) if path.exists())
    made = "writable" if there == data else "not there yet: it is made when it is first used"
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"fms")
    except OSError as failure:
        return [error("data directory", "writable", f"{there}: {failure.strerror}", "choose another: --data, FMS_DATA")]
    return [ok("data directory", "writable", f"{data}: {made}"), _room(there)]


def _room(path: Path) -> Finding:
    free = shutil.disk_usage(path).free // (1 << 20)
    found = f"{free:,} MB free"
    if free < NO_DISK_MB:
        return error("data directory", "disk", found, "make room: what cannot be written stops every command")
    if free < LITTLE_DISK_MB:
        return warning("data directory", "disk", found, "make room")
    return ok("data directory", "disk", found)
