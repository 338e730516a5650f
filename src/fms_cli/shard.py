"""``fms shard``: the shards, which slots they own, and the moves between them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fms.errors import Invalid
from fms_cli import rebalancing, shard_status
from fms_cli.options import Data, Json
from fms_cli.output import Bar, json_line, listing

if TYPE_CHECKING:
    from fms.rebalance.state import ShardState

app = typer.Typer(help="The shards, which slots they own, and moving slots between them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, as fms shard list shows it.")]


@app.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """List the shards with what they hold; counts all rows."""
    from fms.bootstrap import open_shards

    with open_shards(data) as shards:
        urls, states = shards.urls(), shards.states()
    even = sum(map(_weight, states)) / len(states)
    rows = [_shard_document(one, urls.get(one.name), _weight(one) / even) for one in states]
    columns = ("name", "url", "slots", "rows", "of_even", "fenced", "importing", "left_over")
    listing(rows if as_json else map(_readable, rows), as_json=as_json, columns=columns, nothing="no shards")


def _weight(state: "ShardState") -> int:
    return len(state.owned) + sum(state.rows.values())


def _shard_document(state: "ShardState", url: str | None, share: float) -> dict[str, Any]:
    from fms.shards.ownership import FENCED, IMPORTING

    return {
        "name": state.name,
        "url": url,
        "slots": len(state.owned),
        "rows": sum(state.rows.values()),
        "share": round(share, 4),
        "fenced": len(state.slots(FENCED)),
        "importing": len(state.slots(IMPORTING)),
        "left_over": state.left,
    }


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    counts = {name: f"{row[name]:,}" for name in ("slots", "rows")}
    rare = {name: f"{row[name]:,}" if row[name] else "-" for name in ("fenced", "importing", "left_over")}
    return row | counts | rare | {"of_even": f"{row['share']:.0%}"}


@app.command()
def locate(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="Airport, e-mail, or the id of an alert or other row.")],
    destination: Annotated[
        str | None, typer.Argument(metavar="[DESTINATION]", help="Airport, if WHAT is one.", show_default=False)
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say where the alerts of a route, a user or a row are: slot, partition, shard by the map, state in that shard."""
    from fms.bootstrap import open_shards
    from fms.model.route import partition_of_slot

    slot = _slot_of(what, destination)
    with open_shards(data) as shards:
        found = asdict(shards.locate(slot)) | {"partition": partition_of_slot(slot)}
    if as_json:
        json_line(found)
        return
    state = "it has no row of it" if found["state"] is None else f"{found['state']}, epoch {found['epoch']}"
    moving = "" if found["job_id"] is None else f"; rebalance {found['job_id']} has it in hand"
    typer.echo(f"slot {slot}, partition {found['partition']}, shard {found['shard']} ({state}){moving}")


def _slot_of(what: str, destination: str | None) -> int:
    from fms.model.ids import parse_id, slot_of_id
    from fms.model.route import od_of, slot_of_od, slot_of_user
    from fms_cli.prices import airport

    if destination is not None:
        return slot_of_od(od_of(airport(what), airport(destination)))
    if "@" in what:
        return slot_of_user(what.strip())
    try:
        return slot_of_id(parse_id(what))
    except Invalid:
        raise Invalid(f"two airports, an e-mail or an id wanted, not {what[:60]!r}") from None


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for it: a-z 0-9 _ -, a letter first.")],
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Of an empty database: postgresql://… or sqlite:///FILE. ${VARIABLE} in it stands for the"
            " environment's value and is stored as such: every process must have it.",
        ),
    ],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let one more database be a shard. It owns no slot before fms shard rebalance moves some to it.

    A database with slots that no shard owns was one before, and comes back: fms shard rebuild-map is to follow.
    """
    from fms.bootstrap import open_shards

    with open_shards(data) as shards:
        slots = shards.add(name, url)
        document = {"name": name, "url": shards.urls()[name], "slots": slots}
    if as_json:
        json_line(document)
    elif slots:
        typer.echo(f"shard {name} is back with {slots:,} slots: fms shard rebuild-map tells everybody")
    else:
        typer.echo(f"shard {name} is there, and owns nothing yet: fms shard rebalance moves slots to it")


@app.command()
def remove(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Let a shard that owns no slot be one no more. Its database stays as it is."""
    from fms.bootstrap import open_shards

    with open_shards(data) as shards:
        left = shards.remove(name)
    if as_json:
        json_line({"name": name, "left_over": left})
        return
    rest = f"; {left:,} rows that were moved away still lie in its database" if left else ""
    typer.echo(f"{name} is no shard any more{rest}")


app.command()(shard_status.status)
app.command()(rebalancing.plan)
app.command()(rebalancing.rebalance)
app.command()(rebalancing.pause)
app.command()(rebalancing.resume)
app.command()(rebalancing.abort)


@app.command()
def check(data: Data = None, as_json: Json = False) -> None:
    """Compare the map with the shards' own rows: each slot needs one owner. Exits with 1 if something is wrong."""
    from fms.bootstrap import open_shards

    with open_shards(data) as shards:
        health = shards.check()
    if as_json:
        json_line(asdict(health))
    else:
        for fault in health.faults:
            typer.echo(fault)
        moving = f", {health.in_hand:,} of them are being moved" if health.in_hand else ""
        left = f"; {health.left:,} rows lie in shards that do not own them (fms db maintain)" if health.left else ""
        typer.echo(f"{len(health.faults):,} faults: " * bool(health.faults) + f"4,096 slots looked at{moving}{left}")
    if health.faults:
        raise typer.Exit(1)


@app.command()
def verify(
    slot: Annotated[int | None, typer.Argument(metavar="[SLOT]", min=0, max=4095, help="Only this one.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Read every row, and look whether it lies where it belongs. Exits with 1 if something is wrong."""
    from fms.bootstrap import open_shards
    from fms.rebalance.verify import verify as look

    with open_shards(data) as shards, Bar("rows") as show:
        findings = look(shards, slot, lambda table, rows: show(table, rows, None, rows) if show else None)
    if as_json:
        json_line({"findings": findings})
    else:
        for finding in findings:
            typer.echo(finding)
        typer.echo(f"{len(findings):,} findings" if findings else "all is well")
    if findings:
        raise typer.Exit(1)


@app.command("rebuild-map")
def rebuild_map(data: Data = None, as_json: Json = False) -> None:
    """Make the catalog's map again from the shards' own rows, and let slots take writes that were left without."""
    from fms.bootstrap import open_shards

    with open_shards(data) as shards:
        changed = shards.rebuild_map()
    if as_json:
        json_line({"changed": changed})
    else:
        typer.echo(f"{changed:,} slots set right" if changed else "the map was right")
