"""``fms config``: what is set, and where."""

from collections import Counter

import typer

from fms_cli.options import Data, Json
from fms_cli.output import json_line, listing

app = typer.Typer(help="The settings: what they are, and where they come from.", no_args_is_help=True)


@app.command()
def show(data: Data = None, as_json: Json = False) -> None:
    """Show every setting, and whether it comes from a flag, the environment, the file, or is the default.

    Passwords are shown as ***.
    """
    from fms.settings import load_configuration

    columns = ("setting", "value", "origin")
    rows = [dict(zip(columns, row, strict=True)) for row in load_configuration(data).rows()]
    listing(rows, as_json=as_json, columns=columns, nothing="")


@app.command()
def check(data: Data = None, as_json: Json = False) -> None:
    """Say whether the settings can be used, which file they come from, and how many are set; asks no service."""
    from fms.settings import load_configuration
    from fms.settings.loading import DEFAULT, FLAG

    found = load_configuration(data)
    origins = Counter(origin for _, _, origin in found.rows())
    from_file, flags = origins[str(found.file)], origins[FLAG]
    others = origins.total() - origins[DEFAULT] - from_file - flags
    if as_json:
        json_line({"file": str(found.file), "from_file": from_file, "from_environment": others, "from_flags": flags})
    else:
        where = f"{found.file}" if found.file.exists() else f"{found.file}, which is not there"
        typer.echo(f"ok: {from_file} from {where}; {others} from the environment, {flags} from flags")
