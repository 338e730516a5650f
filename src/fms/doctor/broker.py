"""The broker: whether it can be reached, has our queues as they should be, and whether somebody takes from them."""

import re
from collections.abc import Collection, Mapping

from fms.bootstrap import queue_rules
from fms.doctor.findings import ANSWER_SECONDS, Finding, error, ok, warning
from fms.model.route import PARTITIONS
from fms.queues.topology import KINDS, REJECTS, dead_letters_of, queues_of, topology
from fms.settings import Settings
from fms.workers import CONSUMED

SERVICE = "broker"
OLDEST = (3, 10)
SHOWN = 3
"""Of many queues so many are named."""

FULL_PERCENT = 80

Counts = Mapping[str, tuple[int, int]]
"""Queue → messages that wait in it, and its consumers."""


def broker(settings: Settings) -> list[Finding]:
    """The one that the settings name; raises as ``RabbitMQ`` does."""
    if settings.broker_url is None:
        return [ok(SERVICE, "reachable", "none is set: fms run works without one, workers do not")]
    from fms.queues.health import examine

    health = examine(settings.broker_url.get_secret_value(), topology(queue_rules(settings)), ANSWER_SECONDS)
    return [
        _version(health.product, health.version),
        _room(blocked=health.blocked),
        *_declared(health.queues, health.missing, health.different),
        _dead(health.queues),
        *_rejects(health.queues),
        *_waiting(health.queues, settings.queue_limit),
    ]


def _version(product: str, version: str) -> Finding:
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if product == "RabbitMQ" and numbers < OLDEST:
        return error(SERVICE, "version", f"{product} {version}", "upgrade it to 3.10 or newer")
    return ok(SERVICE, "version", f"{product} {version}")


def _room(*, blocked: bool) -> Finding:
    if blocked:
        advice = "give it memory or disk: an alarm of its own keeps all publishers waiting"
        return error(SERVICE, "room", "it takes no messages now", advice)
    return ok(SERVICE, "room", "it takes messages")


def _declared(there: Counts, missing: Collection[str], different: Mapping[str, str]) -> list[Finding]:
    advice = "stop the workers, let the queue run empty, delete it, fms queues declare; or change the settings back"
    found = [
        error(SERVICE, "queues", f"{name} is not as the settings say: {why}", advice) for name, why in _first(different)
    ]
    if len(different) > SHOWN:
        found.append(error(SERVICE, "queues", f"{len(different) - SHOWN} more are not as the settings say", advice))
    if missing:
        names = ", ".join(list(missing)[:SHOWN])
        what = f"{len(missing)} queues and exchanges are not there: {names}{' …' if len(missing) > SHOWN else ''}"
        found.append(warning(SERVICE, "queues", what, "fms queues declare (a worker that starts makes them too)"))
    return found or [ok(SERVICE, "queues", f"all {len(there)} are there, as the settings say")]


def _first(different: Mapping[str, str]) -> list[tuple[str, str]]:
    return list(different.items())[:SHOWN]


def _dead(queues: Counts) -> Finding:
    counts = {kind: queues.get(dead_letters_of(kind), (0, 0))[0] for kind in KINDS}
    waiting = [f"{count:,} of {kind}" for kind, count in counts.items() if count]
    if waiting:
        advice = "see why in their header fms.reason or in the log; mend it, then fms queues retry"
        return warning(SERVICE, "dead letters", ", ".join(waiting), advice)
    return ok(SERVICE, "dead letters", "none")


def _rejects(queues: Counts) -> list[Finding]:
    count = queues.get(REJECTS, (0, 0))[0]
    advice = f"see what is wrong with them; fms queues purge {REJECTS} throws them away"
    return [warning(SERVICE, "rejects", f"{count:,} messages of rejected documents", advice)] if count else []


def _waiting(queues: Counts, limit: int) -> list[Finding]:
    found = []
    for worker, kind in CONSUMED.items():
        ours = [queues.get(name, (0, 0)) for name in queues_of(kind, range(PARTITIONS))]
        found += [*_unattended(worker, kind, ours), *_full(worker, kind, ours, limit)]
    return found


def _unattended(worker: str, kind: str, ours: Collection[tuple[int, int]]) -> list[Finding]:
    alone = sum(waiting for waiting, consumers in ours if not consumers)
    what = f"{alone:,} messages of {kind} wait, and nobody takes them"
    return (
        [warning(SERVICE, "consumers", what, f"is fms worker {worker} running, for all partitions?")] if alone else []
    )


def _full(worker: str, kind: str, ours: Collection[tuple[int, int]], limit: int) -> list[Finding]:
    fullest = max(waiting for waiting, _ in ours)
    what = f"one of {kind} holds {fullest:,} of {limit:,} messages"
    advice = f"more processes of fms worker {worker}: a full queue keeps its publishers waiting"
    return [warning(SERVICE, "queues", what, advice)] if fullest * 100 >= limit * FULL_PERCENT else []
