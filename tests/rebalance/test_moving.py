"""Slots that move while people write: who waits, who is freed, what a killed database does, and big slots."""

import signal
from pathlib import Path
from time import monotonic

import pytest

from fms.errors import Transient
from tests.contracts.making import sqlite
from tests.rebalance.conftest import founded, on_postgres
from tests.rebalance.dying import Fate, Movers
from tests.rebalance.ground import EMAILS, SLOTS, Ground, under_fire
from tests.services.postgres import Databases, Postgres


def fenced(ground: Ground, movers: Movers) -> int:
    """Let a mover die under its fence; answers its job."""
    job = ground.begin()
    assert movers.run(ground.options, Fate(1, before=False, place="fms.rebalance.mover:fence")) == -signal.SIGKILL
    with ground.shards() as shards:
        assert any(state.slots("fenced") for state in shards.states())
    return job.id


def test_moves_go_there_and_back_while_people_write(ground: Ground, movers: Movers) -> None:
    moves = 0
    with under_fire(ground) as people:
        while moves < 4 or not all(one.written > 5 for one in people):
            ground.begin()
            assert movers.run(ground.options, Fate()) == 0
            moves += 1


def test_a_slot_whose_mover_died_under_the_fence_is_freed_by_whoever_waits_for_it(
    ground: Ground, movers: Movers
) -> None:
    number = fenced(ground, movers)
    with ground.open() as site:
        began = monotonic()
        site.users.find_or_add(EMAILS[0])
        assert monotonic() - began < 5
    job, moves = ground.job(number)
    assert (job.state, [move.state for move in moves]) == ("running", ["aborted", "planned"])
    assert movers.run(ground.options, Fate()) == 0
    assert ground.faults() == []


def test_while_its_mover_lives_a_fenced_slot_makes_writers_wait_and_then_say_so(
    ground: Ground, movers: Movers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fenced(ground, movers)
    with ground.open() as site:
        monkeypatch.setattr(site.router, "_relieve", lambda: False)
        began = monotonic()
        with pytest.raises(Transient, match="is being moved to another shard: try again"):
            site.users.find_or_add(EMAILS[0])
        assert 1.9 < monotonic() - began < 4
        # Others are not kept waiting, and what is there can be read.
        site.users.find_or_add("stays@example.org")
        assert site.alerts.all() == []


def test_a_slot_of_one_shard_goes_to_a_database_of_another_kind_and_back(
    postgres: Databases, tmp_path: Path, movers: Movers
) -> None:
    urls = {"a": sqlite(tmp_path / "a.sqlite"), "b": postgres.new_database(), "c": sqlite(tmp_path / "c.sqlite")}
    ground = founded(tmp_path, sqlite(tmp_path / "catalog.sqlite"), urls)
    with under_fire(ground):
        for _ in range(3):
            ground.begin()
            assert movers.run(ground.options, Fate()) == 0
    with ground.shards() as shards:
        assert set(SLOTS) <= shards.states()[0].owned


@pytest.mark.timeout(600)
def test_databases_that_are_killed_in_the_middle_of_moves_lose_nothing(
    own_postgres: Postgres, tmp_path: Path, movers: Movers
) -> None:
    ground = on_postgres(Databases(own_postgres.url), tmp_path)
    with under_fire(ground, sure=False):
        for nth in (1, 4, 7, 10, 12, 14):
            job = ground.begin()
            standing = movers.begin(ground.options, Fate(nth, before=False, by=signal.SIGSTOP))
            movers.ended(standing)
            own_postgres.kill()
            own_postgres.restart()
            movers.wake(standing)
            movers.ended(standing)
            for _ in range(10):
                if ground.job(job.id)[0].state != "running":
                    break
                movers.run(ground.options, Fate())
            assert ground.job(job.id)[0].state == "done"
