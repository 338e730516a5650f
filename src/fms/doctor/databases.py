"""The catalog and the shards: whether they can be reached, are up to date, and own every slot exactly once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from fms.db.health import ShardHealth, shard_health
from fms.db.migrate import History
from fms.db.sites import catalog_place
from fms.doctor.findings import ANSWER_SECONDS, Finding, error, flat, ok, together
from fms.doctor.servers import database, server
from fms.doctor.shards import INIT, content, schema
from fms.doctor.slots import slots
from fms.model.clock import SECOND_MS, Clock, date_of, utc_day
from fms.settings import Settings
from fms.shards.catalog import read_catalog
from fms.shards.health import DatabaseHealth, database_health, hurried
from fms.shards.urls import located, missing_file

if TYPE_CHECKING:
    from sqlalchemy import URL

SHARDS_SECONDS = 10.0
"""How long all shards together may take."""

SWEEPS_MISSED = 5
"""What so many sweeps should have found waits for long."""


@dataclass(frozen=True)
class Seen:
    """What was seen of one database.

    Attributes:
        findings: of it alone.
        health: what it says of itself.
        shard: what it holds, if it is a shard that is up to date.
        urls, owners: what it says, if it is a catalog that is up to date.
    """

    findings: list[Finding]
    health: DatabaseHealth
    shard: ShardHealth | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    owners: Sequence[str] = ()


def databases(settings: Settings, clock: Clock) -> list[Finding]:
    """The catalog, its shards, the servers that they are on, and who owns which slot; raises if there is no catalog."""
    place = catalog_place(settings.data, settings.catalog())
    if path := missing_file(place):
        if settings.catalog():
            return [error("catalog", "reachable", f"{path}: not there", INIT)]
        return [ok("catalog", "reachable", f"{path}: not there yet, made when it is first used")]
    catalog = _catalog(place, clock)
    tasks = {f"shard {name}": partial(_shard, name, url, settings, clock) for name, url in catalog.urls.items()}
    answers = together(tasks, SHARDS_SECONDS)
    seen = {service: answer for service, answer in answers.items() if isinstance(answer, Seen)}
    shards = flat(answer.findings if isinstance(answer, Seen) else answer for answer in answers.values())
    owned = {name: _slots(seen.get(f"shard {name}")) for name in catalog.urls}
    owners = slots(owned, catalog.owners) if owned else []
    return [*catalog.findings, *shards, *_servers([catalog, *seen.values()]), *owners]


def _slots(seen: Seen | None) -> frozenset[int] | None:
    return seen.shard.slots if seen and seen.shard else None


def _catalog(place: "URL", clock: Clock) -> Seen:
    with hurried(place, ANSWER_SECONDS) as engine:
        health = database_health(engine, clock)
        revision, usable = schema("catalog", engine, History.CATALOG)
        found = [ok("catalog", "reachable", health.place), *database("catalog", health), revision]
        urls, owners = read_catalog(engine) if usable else ({}, [])
    if usable and not owners:
        found.append(error("catalog", "shards", "none", INIT))
    return Seen(found, health, urls=urls, owners=owners)


def _shard(name: str, url: str, settings: Settings, clock: Clock) -> Seen | Finding:
    service = f"shard {name}"
    place = located(url, settings.data)
    if path := missing_file(place):
        return error(service, "reachable", f"{path}: not there", "put it back: alerts are in it")
    before = clock() - int(SWEEPS_MISSED * settings.sweep_seconds * SECOND_MS)
    with hurried(place, ANSWER_SECONDS) as engine:
        health = database_health(engine, clock)
        revision, usable = schema(service, engine, History.SHARD)
        found = [ok(service, "reachable", health.place), *database(service, health), revision]
        shard = shard_health(engine, date_of(utc_day(clock())), before) if usable else None
    more = content(service, shard, partitioned=health.server is not None) if shard else []
    return Seen([*found, *more], health, shard)


def _servers(seen: Sequence[Seen]) -> list[Finding]:
    """What is the same for all databases of a server is said once."""
    on: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        if one.health.server is not None:
            on[one.health.server].append(one)
    return flat(_server(ours) for ours in on.values())


def _server(ours: Sequence[Seen]) -> list[Finding]:
    months = max((one.shard.months for one in ours if one.shard), default=0)
    return server(f"PostgreSQL {ours[0].health.place}", ours[0].health, len(ours), months)
