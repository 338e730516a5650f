"""Make the target's rows of some slots those of the source: compare, copy what differs, delete what is gone.

The same is done over and over: the first time all rows differ, while the slots are live a few, and under the fence what
was written last. Two copies of a row are compared by their signatures, see ``Moving``.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from fms.db.given import portions
from fms.errors import Fatal
from fms.rebalance.ends import copying, delete_some
from fms.rebalance.journal import Move
from fms.rebalance.lines import delete_ids, digest, id_of, lines_of_ids, lines_of_slots, write_lines
from fms.rebalance.moved import MOVING, Child, Moving
from fms.shards.engine import reading

COPIED_AT_ONCE = 1_000
"""Rows of a table in one transaction of the target."""


@dataclass(frozen=True)
class Difference:
    """How the target's rows of a table differ from the source's.

    Attributes:
        of: the table.
        changed: ids that the source has, and the target has not or otherwise.
        gone: ids that only the target has.
        lines: what both were compared by, as the source has it.
    """

    of: Moving
    changed: Sequence[str]
    gone: Sequence[str]
    lines: frozenset[str]


class Syncing:
    """The rows of one move at both ends.

    Args:
        source, target: the shards.
        move: with its mover's token.
        progress: called with the number of rows written, after each transaction.
    """

    def __init__(self, source: Engine, target: Engine, move: Move, progress: Callable[[int], None]) -> None:
        self._source = source
        self._target = target
        self._move = move
        self._progress = progress

    def compare(self) -> list[Difference]:
        """How the target differs from the source, table by table."""
        with ThreadPoolExecutor(2) as pool:
            # Both at once: under the fence somebody waits for the answer.
            theirs = pool.submit(self._signatures, self._target)
            ours = self._signatures(self._source)
            return [_difference(one, *both) for one, *both in zip(MOVING, ours, theirs.result(), strict=True)]

    def _signatures(self, engine: Engine) -> list[list[str]]:
        with reading(engine) as connection:
            return [lines_of_slots(connection, one.table, one.compared, self._move.slots) for one in MOVING]

    def level(self, differences: Sequence[Difference]) -> int:
        """Copy what differs and delete what is gone; answers how many rows were to be looked at."""
        for found in differences:
            self._delete(found.of, found.gone)
            self._copy(found.of, found.changed)
        return sum(len(found.changed) + len(found.gone) for found in differences)

    def _delete(self, of: Moving, ids: Sequence[str]) -> None:
        for some in portions(ids, COPIED_AT_ONCE):
            with copying(self._target, self._move) as connection:
                delete_some(connection, of, some)
            self._progress(len(some))

    def _copy(self, of: Moving, ids: Sequence[str]) -> None:
        for some in portions(ids, COPIED_AT_ONCE):
            with reading(self._source) as connection:
                lines = lines_of_ids(connection, of.table, some)
                children = [_lines_of_children(connection, child, some) for child in of.children]
            with copying(self._target, self._move) as connection:
                # Deleted at the source in the meantime: it is found to be gone the next time.
                write_lines(connection, of.table, ["id"], lines)
                for child, rows in zip(of.children, children, strict=True):
                    delete_ids(connection, child.table, some, child.parent)
                    write_lines(connection, child.table, child.key, rows)
            # As the plan counts rows: children come with their parents.
            self._progress(len(lines))

    def check(self) -> None:
        """Compare whole rows; raises Fatal if two that should be the same are not: then a signature does not hold."""
        for found in self.compare():
            changed = set(found.changed)
            for some in portions([key for key in map(id_of, found.lines) if key not in changed], COPIED_AT_ONCE):
                if self._strays(found.of, some) and (strays := self._strays(found.of, some)):
                    table = found.of.table.name
                    raise Fatal(
                        f"{table} {min(strays)} was copied, and is not the same at both ends: nothing was moved"
                    )

    def _strays(self, of: Moving, ids: Sequence[str]) -> set[str]:
        """Ids of rows that have one signature at both ends, and are not the same."""
        ours, theirs = (_rows(engine, of, ids) for engine in (self._source, self._target))
        unlike = [key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]]
        return {key for key in unlike if _alike(of, ours[key], theirs[key])}


def digest_of(differences: Sequence[Difference]) -> str:
    """The digest of what was compared."""
    return digest((found.of.table.name, found.lines) for found in differences)


def _difference(of: Moving, ours: Sequence[str], theirs: Sequence[str]) -> Difference:
    here, there = frozenset(ours), frozenset(theirs)
    known = set(map(id_of, here))
    gone = sorted(key for key in map(id_of, there - here) if key not in known)
    return Difference(of, sorted(map(id_of, here - there)), gone, here)


def _lines_of_children(connection: Connection, child: Child, ids: Sequence[str]) -> list[str]:
    return lines_of_ids(connection, child.table, ids, child.parent)


def _rows(engine: Engine, of: Moving, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Whole rows by id, each with its children behind it."""
    with reading(engine) as connection:
        found = {id_of(line): [line] for line in lines_of_ids(connection, of.table, ids)}
        for child in of.children:
            place = list(child.table.c.keys()).index(child.parent)
            for line in sorted(_lines_of_children(connection, child, ids)):
                found.get(line.split("\t")[place], []).append(line)
    return {key: tuple(lines) for key, lines in found.items()}


def _alike(of: Moving, one: Sequence[str], other: Sequence[str]) -> bool:
    places = [of.table.c.keys().index(column.name) for column in of.compared]
    parts, others = one[0].split("\t"), other[0].split("\t")
    return all(parts[place] == others[place] for place in places)
