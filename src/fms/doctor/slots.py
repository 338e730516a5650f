"""Who owns which slot: the shards' own rows decide, and the catalog's map has to agree."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from fms.doctor.findings import Finding, error, ok, warning
from fms.model.route import SLOTS

HARM = "alerts of these routes cannot be made, or fire"
ADVICE = (
    f"{HARM}: compare slot_owner of the shards with slot_map of the catalog, and put back a database that is too old"
)


def slots(owned: Mapping[str, Collection[int] | None], owners: Sequence[str]) -> list[Finding]:
    """Whether every slot is owned once, and by whom the catalog says.

    Args:
        owned: shard → its slots; None: it could not be asked.
        owners: the catalog's word, by slot.
    """
    silent = sorted(name for name, some in owned.items() if some is None)
    if silent:
        return [warning("slots", "owners", f"not known: {', '.join(silent)} said nothing", "see to these shards first")]
    times = Counter(slot for some in owned.values() for slot in some or ())
    nobody = [slot for slot in range(SLOTS) if slot not in times]
    several = sorted(slot for slot, count in times.items() if count > 1)
    found = [
        *_wrong("owned by no shard", nobody),
        *_wrong("owned by several shards", several),
        *_map({slot: name for name, some in owned.items() for slot in some or ()}, owners),
    ]
    return found or [ok("slots", "owners", f"all {SLOTS} are owned once, as the catalog says")]


def _map(truth: Mapping[int, str], owners: Sequence[str]) -> list[Finding]:
    if len(owners) != SLOTS:
        return [error("slots", "map", f"the catalog knows the owners of {len(owners)} of {SLOTS} slots", ADVICE)]
    return _wrong("not whose the catalog says", [slot for slot, name in truth.items() if owners[slot] != name])


def _wrong(what: str, some: Sequence[int]) -> list[Finding]:
    if not some:
        return []
    first = ", ".join(map(str, sorted(some)[:5]))
    return [
        error("slots", "owners", f"{len(some)} of {SLOTS} are {what}: {first}{' …' if len(some) > 5 else ''}", ADVICE)
    ]
