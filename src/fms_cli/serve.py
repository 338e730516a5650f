"""``fms serve``: the API over HTTP."""

import ipaddress
import os
import shutil
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fms.errors import Fatal, Transient
from fms_cli.options import Data

if TYPE_CHECKING:
    from fms.bootstrap import Site
    from fms.runtime.watching import Log
    from fms.settings import Settings


def serve(
    data: Data = None,
    host: Annotated[str | None, typer.Option("--host", help="Where to listen.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="The port; 0: any.", show_default=False)
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
    from fms.settings import load_settings

    given = {"serve_host": host, "serve_port": port, "serve_processes": processes, "serve_threads": threads}
    settings = load_settings(data, log_format=log, **given)
    _check(settings)
    # Before the client library of the metrics is imported: it looks once.
    shared = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="fms-metrics-")
    try:
        _serve(settings)
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _check(settings: "Settings") -> None:
    if settings.fast_passwords and not _is_loopback(settings.serve_host):
        raise Fatal("fast_passwords is for tests: with it fms serve listens on the loopback only")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _serve(settings: "Settings") -> None:
    from fms.accounts.keys import load_keys
    from fms.runtime.logs import log_to_stderr
    from fms.web.serving import Drain, Server

    keys, drain = load_keys(settings), Drain()
    log = log_to_stderr(settings.log_format, process=os.getpid())
    # Once before there are others: it makes and migrates files, and says what is wrong while somebody looks.
    _opened(settings, log).close()

    def make_app() -> Any:
        from fms.web.app import create_app

        own = log_to_stderr(settings.log_format, process=os.getpid())
        return create_app(_opened(settings, own), keys, own, drain)

    def listening(host: str, port: int) -> None:
        typer.echo(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}, documented at /api/docs")
        sys.stdout.flush()

    Server(settings, make_app, drain, listening).run()


def _opened(settings: "Settings", log: "Log") -> "Site":
    """The site; waits for databases that are away."""
    from fms.bootstrap import Site
    from fms.runtime.retry import Backoff

    backoff, tries = Backoff(first=0.5), 0
    while True:
        try:
            return Site(settings, served=True)
        except Transient as error:
            tries += 1
            seconds = backoff.seconds(tries)
            log.warning("tried again", what="databases", why=str(error), seconds=round(seconds, 2))
            time.sleep(seconds)
