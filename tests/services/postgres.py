"""A private PostgreSQL server, and fresh databases on it."""

import os
import pwd
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests.services.processes import Broken, Server, program

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # The system keeps what a killed server wrote; only a power cut would not, and no test makes one.
    "fsync": "off",
    # In its folder, where nothing stays behind when it is killed.
    "dynamic_shared_memory_type": "mmap",
}

ACCESS = """
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


class Databases:
    """Fresh databases on a server that is running.

    Args:
        url: any database of the server, as a user who may make databases.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[str] = []

    def new_database(self, like: str | None = None) -> str:
        """URL of a new database: empty, or a copy of the one at the URL ``like``, which nobody may be using."""
        name = f"t{uuid4().hex[:16]}"
        template = like.rpartition("/")[2] if like else "template0"
        execute(self._url, f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)
        return f"{self._url.rpartition('/')[0]}/{name}"

    def drop(self) -> None:
        """Drop what was made, whoever is connected to it."""
        while self._made:
            execute(self._url, f"DROP DATABASE IF EXISTS {self._made.pop()} WITH (FORCE)")


def execute(url: str, statement: str) -> None:
    """One statement outside any transaction."""
    engine = create_engine(_with_driver(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


class Postgres(Server):
    """A private PostgreSQL server: everybody is let in without a password, except the user ``guarded``, who has none.

    Args:
        folder, owner: see ``Server``. Started as root, it runs as somebody else, who must be able to reach the folder.
        settings: of ``postgresql.conf``, beside or instead of ``SETTINGS``.
    """

    orderly = signal.SIGINT
    last = signal.SIGQUIT

    def __init__(
        self, folder: Path | None = None, *, owner: int | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
        self._programs = program("initdb", newest_first).resolve().parent
        super().__init__(folder, owner=owner)
        self._settings = SETTINGS | dict(settings or {}) | {"port": str(self.port)}
        self._databases = Databases(self.url)

    @property
    def url(self) -> str:
        """Of the database for maintenance."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def new_database(self) -> str:
        """URL of a new empty database."""
        return self._databases.new_database()

    def kill(self) -> None:
        """Kill it and all its helpers at once, without a warning."""
        super().kill()
        _forget_the_dead(self.folder / "data" / "postmaster.pid")

    def _command(self) -> list[str]:
        data = self.folder / "data"
        if not data.exists():
            self._make(data)
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return [*_as_somebody(), str(self._programs / "postgres"), "-D", str(data), *settings]

    def _make(self, data: Path) -> None:
        if os.geteuid() == 0:
            os.chown(self.folder, _somebody().pw_uid, _somebody().pw_gid)
        options = ["-D", str(data), "-U", "postgres", "-N", "-E", "UTF8"]
        command = [*_as_somebody(), str(self._programs / "initdb"), *options]
        env = self._environment()
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Broken(done.stderr)
        (data / "pg_hba.conf").write_text(ACCESS)

    def _answers(self) -> bool:
        try:
            execute(self.url, "SELECT 1")
        except OperationalError:
            return False
        return True


def _forget_the_dead(note: Path) -> None:
    """Remove the pid, which some other process might get, and the shared memory that the note of a killed server names.

    A server that starts again would reuse the memory; but if none does, a bit of it would be left for ever.
    """
    memory = note.read_text().splitlines()[6:7]
    if memory:
        subprocess.run(["ipcrm", "-m", memory[0].split()[1]], capture_output=True, check=False)
    note.unlink()


def _version(folder: Path) -> int:
    return int(re.sub(r"\D", "", folder.parent.name) or 0)


def _somebody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root: what to put before its commands."""
    if os.geteuid() != 0:
        return []
    user = _somebody()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
