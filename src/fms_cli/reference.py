"""Writes the pages of ``docs`` that are made from the code; ``--check`` only says whether they are true."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from fms.settings import Settings, SourceSettings
from fms_cli.api_page import api_page
from fms_cli.app import EXIT_CODES, app

DOCS = Path("docs")


def cli_page() -> str:
    """Every command with its arguments and options, and the exit codes."""
    root = get_command(app)
    lines = ["# Commands", "", "Made from the code by `make docs`.", "", *_before_the_command(root)]
    for path, command in _commands(root, "fms"):
        lines += [f"## `{path}`", "", (command.help or "").strip(), "", "```", _usage(path, command), "```", ""]
        rows = [_parameter(command, parameter) for parameter in command.params if _shown(parameter)]
        if rows:
            lines += ["| option | meaning |", "|---|---|", *rows, ""]
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(lines) + "\n"


def _before_the_command(root: Any) -> list[str]:
    rows = [_parameter(root, parameter) for parameter in root.params if _shown(parameter)]
    return ["Before the name of any command:", "", "| option | meaning |", "|---|---|", *rows, ""]


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name in command.commands:
            yield from _commands(command.commands[name], f"{path} {name}")
    else:
        yield path, command


def _usage(path: str, command: Any) -> str:
    context = command.context_class(command, info_name=path)
    return " ".join([path, *command.collect_usage_pieces(context)])


def _shown(parameter: Any) -> bool:
    return parameter.name not in ("help", "install_completion", "show_completion")


def _parameter(command: Any, parameter: Any) -> str:
    meaning = str(getattr(parameter, "help", None) or "")
    value = parameter.metavar or parameter.display_type(command.context_class(command))
    name = parameter.metavar or parameter.name
    if parameter.param_type_name == "option":
        name = ", ".join(parameter.opts) + ("" if parameter.is_flag else f" {value}")
    return f"| `{name}` | {meaning} |"


SETTINGS_HEAD = """\
# Settings

Made from the code by `make docs`.

A setting is taken from the first of these that has it:

1. a flag of the command, where it has one for it, such as `--data` or `--batch-size`;
2. the environment, where it is called `FMS_` and its name in capitals: `FMS_BATCH_SIZE=5000`. One of a source is called
   `FMS_SOURCES__NAME__NOISE_BP`. A variable that is empty counts as not set;
3. one TOML file: that of `fms --config FILE`, or of the variable `FMS_CONFIG`; without these `fms.toml` in the data
   directory, if it is there;
4. its default.

```toml
batch_size = 5_000
broker_url = "amqp://fms:secret@localhost:5672/fms"
```

A name that is none, or a value that cannot be, is an error that says where it comes from. `fms config show` lists every
setting, its value without passwords and its origin; `fms config check` says whether they can be used, and `fms doctor`
whether the services behind them can. `data` in a file that is named counts from where that file is; the `fms.toml` of
a data directory cannot name another one. Signs of a password that mean something in a URL, such as `/ # ? @`, are
written as `%XX`.

| setting | default | meaning |
|---|---|---|
"""

SOURCES_HEAD = """
## Sources

What is known about one source goes into its own table of the file:

```toml
[sources.converted]
noise_bp = 100
believe_days = 1
```

| setting | meaning |
|---|---|
"""


def settings_page() -> str:
    """Every setting with its default, and how it is given."""
    own = [f"| `{name}` | {_default(name)} | {field.description} |" for name, field in Settings.model_fields.items()]
    sources = [f"| `sources.NAME.{name}` | {one.description} |" for name, one in SourceSettings.model_fields.items()]
    return SETTINGS_HEAD + "".join(f"{row}\n" for row in own) + SOURCES_HEAD + "".join(f"{row}\n" for row in sources)


def _default(name: str) -> str:
    if name == "data":
        return "`$XDG_DATA_HOME/fms`, else `~/.local/share/fms`"
    default = Settings.model_fields[name].default
    return "none" if name == "sources" or default is None else f"`{default}`"


PAGES = {"cli.md": cli_page, "settings.md": settings_page, "api.md": api_page}


def main() -> int:
    """Write the pages, or compare them under ``--check``; answers the exit code."""
    stale = [name for name, page in PAGES.items() if not _is_true(name, page())]
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/{name} is not what the code says: make docs", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name]())
    return 0


def _is_true(name: str, text: str) -> bool:
    path = DOCS / name
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
