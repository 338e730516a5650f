"""Writes ``docs/cli.md`` and ``docs/settings.md`` from the code; ``--check`` only says whether they are true."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from fms.settings import Settings, SourceSettings
from fms_cli.app import EXIT_CODES, app

DOCS = Path("docs")


def cli_page() -> str:
    """Every command with its arguments and options, and the exit codes."""
    root = get_command(app)
    lines = ["# Commands", "", "Made from the code by `make docs`.", ""]
    for path, command in _commands(root, "fms"):
        lines += [f"## `{path}`", "", (command.help or "").strip(), "", "```", _usage(path, command), "```", ""]
        rows = [_parameter(command, parameter) for parameter in command.params if _shown(parameter)]
        if rows:
            lines += ["| option | meaning |", "|---|---|", *rows, ""]
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(lines) + "\n"


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


def settings_page() -> str:
    """Every setting with its default, and how it is given."""
    lines = [
        "# Settings",
        "",
        "Made from the code by `make docs`. A flag counts before the environment, the environment before `fms.toml`",
        "in the data directory. In the environment a setting is called `FMS_` and its name in capitals.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {_default(name)} | {field.description} |" for name, field in Settings.model_fields.items()),
        "",
        "## Sources",
        "",
        "What is known about one source goes into its own table of `fms.toml`:",
        "",
        "```toml",
        "[sources.converted]",
        "noise_bp = 100",
        "believe_days = 1",
        "```",
        "",
        "| setting | meaning |",
        "|---|---|",
        *(f"| `sources.NAME.{name}` | {field.description} |" for name, field in SourceSettings.model_fields.items()),
    ]
    return "\n".join(lines) + "\n"


def _default(name: str) -> str:
    if name == "data":
        return "`$XDG_DATA_HOME/fms`, else `~/.local/share/fms`"
    if name == "sources":
        return "none"
    return f"`{Settings.model_fields[name].default}`"


PAGES = {"cli.md": cli_page, "settings.md": settings_page}


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
