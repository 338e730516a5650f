"""``fms serve``: the API over HTTP."""

import ipaddress
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fms.errors import Fatal, FmsError, Transient
from fms_cli.options import Data
from fms_cli.outliving import Interrupted

if TYPE_CHECKING:
    from fms.accounts.keys import Keys
    from fms.bootstrap import Site
    from fms.runtime.watching import Log
    from fms.settings import Settings


FOLDER = "fms-metrics-"

NEW_SECONDS = 60


def serve(
    data: Data = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Where to listen (default: 127.0.0.1, or as set).", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65_535, help="The port (default: 8000, or as set); 0: any.", show_default=False
        ),
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="N", min=1, max=64, help="Processes.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, max=64, help="Threads of each.", show_default=False)
    ] = None,
    log: Annotated[
        Literal["text", "json"] | None,
        typer.Option("--log", help="Form of the log lines on stderr.", show_default=False),
    ] = None,
) -> None:
    """Serve the API; /api/docs shows it. SIGTERM lets it finish what it has begun, after /readyz has said so."""
    from fms.accounts.keys import load_keys
    from fms.settings import load_settings

    given = {"serve_host": host, "serve_port": port, "serve_processes": processes, "serve_threads": threads}
    settings = load_settings(data, log_format=log, **given)
    _check(settings)
    keys = load_keys(settings)
    before = signal.signal(signal.SIGTERM, _not_yet)
    try:
        with _shared_folder():
            code = _serve(settings, keys)
    finally:
        signal.signal(signal.SIGTERM, before)
    raise typer.Exit(code)


@contextmanager
def _shared_folder() -> Iterator[None]:
    """Where processes add up their metrics; those that killed ones left behind are removed."""
    from fms.runlock import exclusive

    for left in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        # Who has just made one may not have its lock yet.
        with suppress(FmsError, OSError):
            if left.stat().st_mtime < time.time() - NEW_SECONDS:
                with exclusive(left / "lock"):
                    shutil.rmtree(left)
    # Before the client library of the metrics is imported: it looks once.
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=FOLDER)
    try:
        with exclusive(Path(folder) / "lock"):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _not_yet(number: int, _frame: FrameType | None) -> None:
    raise Interrupted("ended before it served anybody", number)


def _check(settings: "Settings") -> None:
    from limits import parse_many

    if settings.fast_passwords and not _is_loopback(settings.serve_host):
        raise Fatal("fast_passwords is for tests: with it fms serve listens on the loopback only")
    for name in ("rate_limit", "login_rate_limit"):
        try:
            parse_many(getattr(settings, name))
        except ValueError:
            raise Fatal(f"setting {name}: not a rate such as 20/minute") from None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _serve(settings: "Settings", keys: "Keys") -> int:
    """Serve until it is to end; answers the exit code."""
    from fms.runtime.logs import log_to_stderr
    from fms.web.app import create_app
    from fms.web.serving import Drain, Server, listen

    drain = Drain()
    listener, url = listen(settings.serve_host, settings.serve_port)
    log = log_to_stderr(settings.log_format, process=os.getpid())
    # Once before there are others: it makes and migrates files, and says what is wrong while somebody looks.
    _opened(settings, log).close()

    def make(goes_on: Callable[[], bool]) -> Any:
        own = log_to_stderr(settings.log_format, process=os.getpid())
        return create_app(_opened(settings, own, goes_on), keys, own, drain)

    def announce() -> None:
        typer.echo(f"listening on {url}, documented at /api/docs")
        sys.stdout.flush()

    return Server(settings, listener, make, drain, announce).run()


def _opened(settings: "Settings", log: "Log", goes_on: Callable[[], bool] = lambda: True) -> "Site":
    """The site; waits for databases that are away."""
    from fms.bootstrap import Site
    from fms.runtime.retry import Backoff

    backoff, tries = Backoff(first=0.5, most=5), 0
    while goes_on():
        try:
            return Site(settings, served=True)
        except Transient as error:
            tries += 1
            seconds = backoff.seconds(tries)
            log.warning("tried again", what="databases", why=str(error), seconds=round(seconds, 2))
            time.sleep(seconds)
    raise SystemExit(0)
