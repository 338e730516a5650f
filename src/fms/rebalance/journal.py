"""Rebalances in the catalog: jobs, the moves that they are made of, and what happened. Here a move is decided.

A mover leases a move and is given a token, higher than any before it. Whatever it writes here asks for that token, so
that of two who believe they are the one only the newer one gets on.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, or_, select

from fms.errors import Invalid, NotFound, Transient
from fms.model.clock import Clock
from fms.model.ids import IdMint
from fms.rebalance.plan import Load, Plan, PlannedMove
from fms.shards.catalog import event, rebalance_job, slot_map, slot_move
from fms.shards.catalog import shard as shard_table
from fms.shards.engine import reading, take_time, writing

OPEN_MOVES = ("copying", "committed", "aborting")
"""Moves that somebody began and that must end one way or the other."""

OPEN_JOBS = ("running", "paused", "aborting")


class Refused(Transient):
    """The move has a newer mover, or another end was decided for it: this one must stop at once."""


class Leased(Transient):
    """Another mover is at work on the move."""


@dataclass(frozen=True)
class Move:
    """A move of slots; see the columns of ``slot_move``."""

    id: UUID
    job_id: int
    number: int
    source: str
    target: str
    slots: tuple[int, ...]
    planned_rows: int
    state: str
    step: str
    attempt: int
    token: int
    holder: str | None
    lease_until: int
    copied_rows: int
    copy_ms: int
    pause_ms: int | None
    digest: str | None
    error: str | None
    changed_at: int


@dataclass(frozen=True)
class Job:
    """A rebalance.

    Attributes:
        id: 1, 2, …
        state: ``planned``, ``running``, ``paused``, ``aborting``, ``done``, ``aborted`` or ``failed``.
        before, after: the balance when it was planned, and as planned.
        obstacles: why the balance cannot be better.
        options: how it is carried out: ``parallel``, ``max_pause_ms``.
        created_at, changed_at: UTC ms.
    """

    id: int
    state: str
    before: tuple[Load, ...]
    after: tuple[Load, ...]
    obstacles: tuple[str, ...]
    options: Mapping[str, Any]
    created_at: int
    changed_at: int


@dataclass(frozen=True)
class Event:
    """Something that happened, at a time in UTC ms."""

    at: int
    job_id: int | None
    move_id: UUID | None
    what: str
    detail: str | None


class Journal:
    """What the catalog knows of rebalances.

    Args:
        catalog: opens it.
        clock: UTC ms.
        lease_ms: for so long after it last wrote here a mover has its move to itself.
    """

    def __init__(
        self, catalog: Callable[[], AbstractContextManager[Engine]], clock: Clock, lease_ms: int = 5_000
    ) -> None:
        self.lease_ms = lease_ms
        self._catalog = catalog
        self._clock = clock
        self._mint = IdMint(clock)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._catalog() as engine, writing(engine) as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._catalog() as engine, reading(engine) as connection:
            yield connection

    # -- jobs

    def add(self, plan: Plan, options: Mapping[str, Any]) -> Job:
        """Keep a plan, and answer it as a job."""
        with self._writing() as connection:
            number = 1 + (connection.execute(select(func.max(rebalance_job.c.id))).scalar() or 0)
            shown = {
                "before": [vars(load) for load in plan.before],
                "after": [vars(load) for load in plan.after],
                "obstacles": plan.obstacles,
            }
            times = dict.fromkeys(("created_at", "changed_at"), self._clock())
            job = {"id": number, "state": "planned", "plan": json.dumps(shown), "options": json.dumps(dict(options))}
            connection.execute(rebalance_job.insert(), job | times)
            for place, move in enumerate(plan.moves, 1):
                self._insert(connection, number, place, move)
            self._note(connection, "planned", job_id=number, detail=f"{len(plan.moves)} moves")
        return self.job(number)

    def _insert(self, connection: Connection, job_id: int, number: int, move: PlannedMove, attempt: int = 1) -> None:
        row = {
            "id": self._mint.new(0), "job_id": job_id, "number": number, "source": move.source, "target": move.target,
            "slots": ",".join(map(str, move.slots)), "planned_rows": move.rows, "state": "planned", "step": "planned",
            "attempt": attempt, "token": 0, "lease_until": 0, "copied_rows": 0, "copy_ms": 0,
            "changed_at": self._clock(),
        }  # fmt: skip
        connection.execute(slot_move.insert(), row)

    def jobs(self) -> list[Job]:
        """All jobs, the oldest first."""
        with self._reading() as connection:
            return [_job_of(row) for row in connection.execute(select(rebalance_job).order_by(rebalance_job.c.id))]

    def job(self, number: int) -> Job:
        """One job; raises NotFound."""
        with self._reading() as connection:
            row = connection.execute(select(rebalance_job).where(rebalance_job.c.id == number)).one_or_none()
        if row is None:
            raise NotFound(f"there is no plan {number}")
        return _job_of(row)

    def open_job(self) -> Job | None:
        """The job that was begun and has not ended. There is never more than one."""
        return next((one for one in self.jobs() if one.state in OPEN_JOBS), None)

    def start(self, number: int, options: Mapping[str, Any]) -> Job:
        """Let a planned job run; raises Invalid if another one does, or if the slots are not where they were."""
        with self._writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE rebalance_job IN SHARE ROW EXCLUSIVE MODE")
            rows = {row.id: row for row in connection.execute(select(rebalance_job))}
            if number not in rows:
                raise NotFound(f"there is no plan {number}")
            if other := next((row for row in rows.values() if row.state in OPEN_JOBS), None):
                raise Invalid(f"rebalance {other.id} is {other.state}: fms shard resume or fms shard abort ends it")
            if rows[number].state != "planned":
                raise Invalid(f"plan {number} is {rows[number].state}: make a new one with fms shard plan")
            self._check_fresh(connection, number)
            changed = {"state": "running", "options": json.dumps(dict(options)), "changed_at": self._clock()}
            connection.execute(rebalance_job.update().where(rebalance_job.c.id == number), changed)
            self._note(connection, "started", job_id=number)
        return self.job(number)

    def _check_fresh(self, connection: Connection, number: int) -> None:
        owners = {row.slot: row.shard for row in connection.execute(select(slot_map))}
        names = set(connection.execute(select(shard_table.c.name)).scalars())
        for row in connection.execute(select(slot_move).where(slot_move.c.job_id == number)):
            if row.target not in names or any(owners.get(slot) != row.source for slot in _slots_of(row)):
                why = "the shards are not what they were"
                raise Invalid(f"plan {number} is out of date, {why}: make a new one with fms shard plan")

    def change_job(self, number: int, state: str, among: Sequence[str]) -> bool:
        """Give a job another state if it has one of ``among``; answers whether it had."""
        with self._writing() as connection:
            update = rebalance_job.update().where(rebalance_job.c.id == number, rebalance_job.c.state.in_(among))
            done = connection.execute(update.values(state=state, changed_at=self._clock())).rowcount == 1
            if done:
                self._note(connection, state, job_id=number)
        return done

    # -- moves

    def moves(self, number: int) -> list[Move]:
        """The moves of a job, in order."""
        query = select(slot_move).where(slot_move.c.job_id == number).order_by(slot_move.c.number)
        with self._reading() as connection:
            return [_move_of(row) for row in connection.execute(query)]

    def open_moves(self) -> list[Move]:
        """Moves of any job that were begun and have not ended."""
        query = select(slot_move).where(slot_move.c.state.in_(OPEN_MOVES)).order_by(slot_move.c.number)
        with self._reading() as connection:
            return [_move_of(row) for row in connection.execute(query)]

    def lease(self, move: Move, holder: str) -> Move:
        """Take a move that is planned or open, with a new token; raises Leased while another mover has it."""
        with self._writing() as connection:
            now = self._clock()
            newest = connection.execute(select(func.max(slot_move.c.token))).scalar() or 0
            # Not less than the time: shards remember tokens, also if the catalog should be lost and made again.
            token = max(newest + 1, now)
            free = or_(slot_move.c.lease_until <= now, slot_move.c.holder == holder)
            rows = slot_move.update().where(slot_move.c.id == move.id, slot_move.c.state.in_(("planned", *OPEN_MOVES)))
            state = {"token": token, "holder": holder, "lease_until": now + self.lease_ms, "changed_at": now}
            taken = connection.execute(rows.where(slot_move.c.token < token, free).values(state)).rowcount
            now_is = _move_of(connection.execute(select(slot_move).where(slot_move.c.id == move.id)).one())
            if not taken:
                raise Leased(f"move {move.number} is carried out by {now_is.holder}")
            if now_is.state == "planned":
                connection.execute(slot_move.update().where(slot_move.c.id == move.id).values(state="copying"))
            self._note(connection, "taken", move, f"token {token}, {holder}")
            return _move_of(connection.execute(select(slot_move).where(slot_move.c.id == move.id)).one())

    def note(self, move: Move, step: str, **values: Any) -> None:
        """How far the mover has come; it keeps its lease by that. Raises Refused if it is not the mover any more."""
        now = self._clock()
        self._change(move, {"step": step, "lease_until": now + self.lease_ms, "changed_at": now} | values)

    def commit(self, move: Move, digest: str) -> None:
        """Decide that the target owns the slots: from here on there is no way back. Raises Refused."""
        with self._writing() as connection:
            values = {"state": "committed", "step": "committed", "digest": digest, "changed_at": self._clock()}
            self._change_in(connection, move, values, slot_move.c.state == "copying")
            owned = slot_map.update().where(slot_map.c.slot.in_(move.slots), slot_map.c.shard == move.source)
            moved = connection.execute(owned.values(shard=move.target, epoch=slot_map.c.epoch + 1)).rowcount
            if moved != len(move.slots):
                raise Refused("the catalog's map does not say any more that the source owns the slots")
            self._note(connection, "committed", move)

    def give_up(self, move: Move, why: str) -> None:
        """Decide that the source keeps the slots. Raises Refused if the other thing was decided."""
        with self._writing() as connection:
            values = {"state": "aborting", "step": "aborting", "error": why, "changed_at": self._clock()}
            self._change_in(connection, move, values, slot_move.c.state.in_(("copying", "aborting")))
            self._note(connection, "aborting", move, why)

    def end(self, move: Move, state: str, **values: Any) -> None:
        """The move is ``done`` or ``aborted``, at both ends."""
        with self._writing() as connection:
            ended = {"state": state, "step": state, "lease_until": 0, "changed_at": self._clock()} | values
            before = "committed" if state == "done" else "aborting"
            self._change_in(connection, move, ended, slot_move.c.state == before)
            self._note(connection, state, move)

    def leave(self, move: Move, holder: str, why: str) -> None:
        """Give the lease back, for whoever goes on; nothing is said if there is another mover already."""
        with self._writing() as connection:
            mine = slot_move.update().where(slot_move.c.id == move.id, slot_move.c.holder == holder)
            connection.execute(mine.values(lease_until=0, error=why, changed_at=self._clock()))

    def again(self, move: Move) -> None:
        """Plan an aborted move once more, behind the others."""
        with self._writing() as connection:
            last = select(func.max(slot_move.c.number)).where(slot_move.c.job_id == move.job_id)
            number = 1 + connection.execute(last).scalar_one()
            planned = PlannedMove(move.source, move.target, move.slots, move.planned_rows)
            self._insert(connection, move.job_id, number, planned, move.attempt + 1)

    def resume_later(self, move: Move) -> None:
        """If the move was undone, plan it anew for whoever goes on with its job."""
        for one in self.moves(move.job_id):
            if one.id == move.id and one.state == "aborted" and self.job(move.job_id).state in ("running", "paused"):
                self.again(one)

    def cancel(self, number: int) -> None:
        """Moves of a job that nobody began are not made."""
        with self._writing() as connection:
            planned = slot_move.update().where(slot_move.c.job_id == number, slot_move.c.state == "planned")
            connection.execute(planned.values(state="cancelled", step="cancelled", changed_at=self._clock()))

    def _change(self, move: Move, values: Mapping[str, Any]) -> None:
        with self._writing() as connection:
            self._change_in(connection, move, values, slot_move.c.state.in_(OPEN_MOVES))

    @staticmethod
    def _change_in(connection: Connection, move: Move, values: Mapping[str, Any], also: ColumnElement[bool]) -> None:
        mine = slot_move.update().where(slot_move.c.id == move.id, slot_move.c.token == move.token, also)
        if connection.execute(mine.values(**values)).rowcount != 1:
            raise Refused(f"move {move.number} was taken over by another mover, or another end was decided for it")

    # -- events

    def events(self, limit: int = 100) -> list[Event]:
        """The newest events, the oldest of them first."""
        query = select(event).order_by(event.c.id.desc()).limit(limit)
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return [Event(row.at, row.job_id, row.move_id, row.what, row.detail) for row in reversed(rows)]

    def forget(self, before: int) -> dict[str, int]:
        """Delete what is older than a time in UTC ms; answers table → rows deleted.

        Events, and jobs with their moves: such that have ended, and plans that nobody carried out.
        """
        with self._writing() as connection:
            take_time(connection)
            old = (rebalance_job.c.state.not_in(OPEN_JOBS), rebalance_job.c.changed_at < before)
            rows = {
                "event": event.delete().where(event.c.at < before),
                "slot_move": slot_move.delete().where(slot_move.c.job_id.in_(select(rebalance_job.c.id).where(*old))),
                "rebalance_job": rebalance_job.delete().where(*old),
            }
            return {name: connection.execute(one).rowcount for name, one in rows.items()}

    def tell(self, what: str, detail: str) -> None:
        """Note an event that belongs to no job."""
        with self._writing() as connection:
            self._note(connection, what, detail=detail)

    def _note(
        self,
        connection: Connection,
        what: str,
        move: Move | None = None,
        detail: str | None = None,
        *,
        job_id: int | None = None,
    ) -> None:
        row = {"id": self._mint.new(0), "at": self._clock(), "what": what, "detail": detail}
        about = {"job_id": move.job_id, "move_id": move.id} if move else {"job_id": job_id, "move_id": None}
        connection.execute(event.insert(), row | about)

    # -- shards

    def add_shard(self, name: str, url: str) -> None:
        """Let a shard that owns nothing take part; raises Invalid if its name is taken."""
        with self._writing() as connection:
            if connection.execute(select(shard_table).where(shard_table.c.name == name)).first():
                raise Invalid(f"there is a shard {name} already")
            connection.execute(shard_table.insert(), {"name": name, "url": url})
            self._note(connection, "shard added", detail=name)

    def remove_shard(self, name: str) -> None:
        """Forget a shard; raises Invalid if the map still names it, or if a rebalance does that has not ended."""
        with self._writing() as connection:
            open_jobs = select(rebalance_job.c.id).where(rebalance_job.c.state.in_(OPEN_JOBS))
            named = or_(slot_move.c.source == name, slot_move.c.target == name)
            if row := connection.execute(select(slot_move).where(named, slot_move.c.job_id.in_(open_jobs))).first():
                raise Invalid(f"rebalance {row.job_id} has to do with shard {name}, and has not ended")
            if connection.execute(select(slot_map).where(slot_map.c.shard == name)).first():
                raise Invalid(f"the map still names shard {name}: fms shard check")
            connection.execute(shard_table.delete().where(shard_table.c.name == name))
            self._note(connection, "shard removed", detail=name)


def _slots_of(row: Row[Any]) -> tuple[int, ...]:
    return tuple(map(int, row.slots.split(",")))


def _move_of(row: Row[Any]) -> Move:
    return Move(**dict(row._mapping) | {"slots": _slots_of(row)})  # noqa: SLF001  # SQLAlchemy's public name


def _job_of(row: Row[Any]) -> Job:
    plan = json.loads(row.plan)
    loads = {name: tuple(Load(**load) for load in plan[name]) for name in ("before", "after")}
    return Job(
        row.id, row.state, **loads, obstacles=tuple(plan["obstacles"]), options=json.loads(row.options),
        created_at=row.created_at, changed_at=row.changed_at,
    )  # fmt: skip
