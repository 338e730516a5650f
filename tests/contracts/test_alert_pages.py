"""Pages of a user's alerts, which come from all shards in one order."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.dialects import postgresql

from fms.db.alerts import AlertRows
from fms.db.listing import SORTS, AlertPages, Filter, _Order
from fms.model.alert import Alert
from fms.model.ids import slot_of_id
from fms.shards.router import Router
from tests.builders import MINT, MONDAY, alert, criteria
from tests.contracts.place import EmptySites, Place

TODAY = date(2026, 12, 1)
REFS = ("b", "B", "a b", "ab", "a", "é", "Z", "z", "_", "1", "10", "2", "Ä", "ß", "a-b", "A")


def refs(router: Router, user_id: UUID, sort: str, limit: int) -> list[str]:
    """The refs of all pages, one page after the other."""
    found: list[Alert] = []
    after = None
    while True:
        page = AlertPages(router).page(user_id, Filter(), sort, limit=limit, after=after, today=TODAY)
        assert len(page.alerts) <= limit
        found += page.alerts
        if page.after is None:
            return [one.ref for one in found]
        assert len(page.alerts) == limit
        after = page.after


def made(router: Router, names: Iterator[tuple[str, str]]) -> list[Alert]:
    """Alerts of one user: ref and destination of each."""
    first = alert()
    found = [
        replace(alert(ref=ref, criteria=criteria(destination=place)), user_id=first.user_id) for ref, place in names
    ]
    AlertRows(router, MINT, lambda: MONDAY).add(found)
    return found


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_texts_are_sorted_by_their_characters_in_every_shard(place: Place, limit: int) -> None:
    places = ("LHR", "CDG", "AMS", "FRA")
    with closing(place.router()) as router:
        rows = made(router, ((ref, places[number % 4]) for number, ref in enumerate(REFS)))
        user_id = rows[0].user_id
        assert refs(router, user_id, "ref", limit) == sorted(REFS)
        assert refs(router, user_id, "-ref", limit) == sorted(REFS, reverse=True)


@pytest.mark.parametrize("sort", ["created", "-created", "route", "-route", "ref", "-ref"])
def test_a_shard_that_has_more_than_its_share_gives_all_of_it(
    empty_sites: EmptySites, tmp_path: Path, sort: str
) -> None:
    with closing(empty_sites.copied(tmp_path, 8).router()) as router:
        names = [(f"r{number:03}", "LHR" if number % 5 else ("CDG", "AMS", "FRA")[number % 3]) for number in range(150)]
        rows = made(router, iter(names))
        assert len({router.of(slot_of_id(row.id)).name for row in rows}) > 1
        found = refs(router, rows[0].user_id, sort, 60)
        assert sorted(found) == [ref for ref, _ in names]
        key = {
            "created": lambda row: row.id,
            "route": lambda row: (row.criteria.od, row.id),
            "ref": lambda row: row.ref,
        }
        ordered = sorted(rows, key=key[sort.removeprefix("-")], reverse=sort.startswith("-"))
        assert found == [row.ref for row in ordered]


def test_the_order_is_that_of_characters_whatever_a_database_holds_to_be_one() -> None:
    # Those of the tests hold the same.
    for name, column in (("ref", "ref"), ("route", "od")):
        query = _Order(SORTS[name], falling=False).query([], ("a", MINT.new(1)), 5, "postgresql")
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's
        said = str(query.compile(dialect=dialect))
        assert f'WHERE (alert.{column} COLLATE "C", alert.id) >' in said
        assert f'ORDER BY alert.{column} COLLATE "C" ASC, alert.id' in said
