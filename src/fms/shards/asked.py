"""Questions that one statement answers with one row, asked by the shortest way there is."""

from collections import namedtuple
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Engine, Row, Select, bindparam, exists
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from fms.shards.engine import asking
from fms.shards.ownership import READABLE, is_in, slot_owner


class Asked:
    """A query of one row that only the owner of the slot ``asked_slot`` answers. It is made once, and asked often.

    Attributes:
        query: as a statement, for whoever asks in a transaction of their own.
    """

    def __init__(self, query: Select[Any]) -> None:
        owner = exists().where(slot_owner.c.slot == bindparam("asked_slot"), is_in(READABLE))
        self.query = query.where(owner)

    def first(self, engine: Engine, values: Mapping[str, Any]) -> Row[Any] | None:
        """The row; None: there is none, or the slot is owned elsewhere."""
        if engine.dialect.name == "postgresql":
            from fms.shards.postgres import Lost, first_row

            try:
                found = first_row(engine, self._sql, {**self._constants, **values})
            except Lost:
                # Asked again by the usual way, which has another connection, or says what is wrong.
                pass
            else:
                return None if found is None else self._row(*found)
        with asking(engine) as connection:
            return connection.execute(self.query, values).first()

    @cached_property
    def _compiled(self) -> Any:
        return self.query.compile(dialect=PGDialect_psycopg2())  # type: ignore[no-untyped-call]  # SQLAlchemy's

    @cached_property
    def _sql(self) -> str:
        return str(self._compiled)

    @cached_property
    def _constants(self) -> dict[str, Any]:
        return dict(self._compiled.params)

    @cached_property
    def _row(self) -> Any:
        """As SQLAlchemy's rows: by name and by place."""
        return namedtuple("AskedRow", [str(column.key) for column in self.query.selected_columns])
