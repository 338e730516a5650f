"""The command line as a whole: its groups, its exit codes, and one line for every error."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

import fms
from fms.errors import Fatal, FmsError, Transient
from fms_cli import (
    alerts,
    config,
    db,
    demo,
    doctor,
    init,
    notifications,
    prices,
    queues,
    run,
    serve,
    shard,
    stages,
    users,
    worker,
)
from fms_cli.outliving import Interrupted

EXIT_CODES = {
    0: "done; rejected documents are counted and shown, and are no error unless --strict says so",
    1: "done, but documents were rejected and --strict was given; fms shard: faults were found, or moves failed",
    2: "wrong option, or an input that cannot be used: no such file, broken mapping, unknown alert",
    3: "not now: another run uses the data directory, or a service does not answer; try again later",
    4: "cannot go on until somebody acts: no access, a wrong setting, a database of a newer fms; doctor found an error",
    130: "interrupted; the same command finishes the work, or fms shard resume where that is said",
    143: "terminated: fms shard resume goes on with a rebalance; fms serve had not begun to serve",
}
"""What each exit code means; the docs are made from this."""

app = typer.Typer(
    name="fms",
    help="Flight price alerts: ingest fares, find the moves, match the wishes, tell each user once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 rejected under --strict or faults found, 2 wrong input, 3 not now,"
    " 4 cannot go on, 130 interrupted, 143 terminated.",
)
app.command("run")(run.run)
app.command("ingest")(stages.ingest)
app.command("diff")(stages.diff)
app.command("match")(stages.match)
app.command("notify")(stages.notify)
app.command("serve")(serve.serve)
app.add_typer(worker.app, name="worker")
app.add_typer(queues.app, name="queues")
app.add_typer(alerts.app, name="alerts")
app.add_typer(prices.app, name="prices")
app.add_typer(notifications.app, name="notifications")
app.add_typer(users.app, name="users")
app.add_typer(db.app, name="db")
app.add_typer(shard.app, name="shard")
app.command("init")(init.init)
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fms {fms.__version__}")
        raise typer.Exit


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """For so long the settings come from that file, also for processes that this one starts."""
    from fms.settings.loading import CONFIG

    before = os.environ.get(CONFIG)
    os.environ[CONFIG] = str(file)
    try:
        yield
    finally:
        os.environ.pop(CONFIG)
        os.environ |= {} if before is None else {CONFIG: before}


@app.callback()
def _root(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            show_default=False,
            help="TOML file with settings, instead of fms.toml in the data directory (or FMS_CONFIG).",
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if file is not None:
        context.with_resource(_named(file))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; answers the exit code. A user's error is one line on stderr, never a traceback."""
    try:
        code = app(args=None if argv is None else list(argv), prog_name="fms", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except Interrupted as asked:
        return _fail(str(asked), asked.code)
    except typer.TyperException as error:
        # A group without a command answers with its help, which is many lines and no error of its own.
        text = error.format_message()
        return _fail(text, error.exit_code, prefix="" if "\n" in text else "fms: ")
    except SystemExit as ended:
        # Typer's answer to a closed pipe; but that whoever read our output has had enough is no failure.
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        # Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (FmsError, OSError) as error:
        return _fail(_in_words(error), _code_of(error))
    if code == 130:
        return _fail("interrupted: run the same command again to finish", 130)
    return code if isinstance(code, int) else 0


def _in_words(error: FmsError | OSError) -> str:
    return f"{error.filename or 'fms'}: {error.strerror or error}" if isinstance(error, OSError) else str(error)


def _code_of(error: FmsError | OSError) -> int:
    if isinstance(error, Transient):
        return 3
    return 4 if isinstance(error, Fatal | OSError) else 2


def _fail(message: str, code: int, prefix: str = "fms: ") -> int:
    # Whoever is not there to read it can still be told the code.
    with suppress(OSError):
        typer.echo(prefix + message, err=True)
    return code
