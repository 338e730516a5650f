"""The parts alone, without the work of fms between them: what a stage cannot be quicker than.

Each is a process of its own, started as ``python alone.py NAME ARGUMENT…``, and prints one object: what it worked on,
``seconds`` and ``cpu_seconds`` of the work without its preparation, and more.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pika
import psycopg2
from psycopg2 import extensions
from redis.connection import ConnectionPool
from sqlalchemy import event

from fms.bootstrap import open_site
from fms.db.matching import SqlAlertLedger
from fms.model.alert import Alert
from fms.model.batch import AnyBatch, ints, read_batches
from fms.model.change import ChangeBatch
from fms.model.fare import FareBatch
from fms.model.hashing import codes
from fms.model.notification import Message
from fms.model.page import page_key
from fms.ports import Outcome, Probe
from fms.pricebook.redis.keys import Command, Names, index, writes
from fms.queues.topology import QueueRules, topology
from fms.queues.wire import packed
from fms.stages.match import Match

PERSISTENT = 2
PREFETCHED = 2
PREFIX = "px"
SIZES = ("pages", "page_bytes", "description_bytes", "page_used", "description_used")
"""What the price book consists of: pages, the bytes of their values and of those that describe them, and what Redis
uses for each, keys and all."""


@contextmanager
def timed(found: dict[str, Any]) -> Iterator[None]:
    """Note what the block takes."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    found |= {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}


def batches_of(path: str, kind: type[AnyBatch]) -> list[AnyBatch]:
    with Path(path).open("rb") as source:
        return list(read_batches(source, kind))


def publish(url: str, fares: str) -> dict[str, Any]:
    """Persistent messages with the bodies that ingest makes into sixteen queues, each confirmed before the next."""
    letters = [(batch.partition, packed(batch)) for batch in batches_of(fares, FareBatch)]
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()
    queues = _declared(channel)
    properties = pika.BasicProperties(delivery_mode=PERSISTENT)
    found = {"messages": len(letters), "bytes": sum(len(body) for _, body in letters)}
    with timed(found):
        for partition, body in letters:
            channel.basic_publish("", queues[partition], body, properties, mandatory=True)
    channel.connection.close()
    return found


def consume(url: str, count: str) -> dict[str, Any]:
    """So many messages out of those queues, each acknowledged."""
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_qos(prefetch_count=PREFETCHED)
    left = int(count)

    def take(_channel: object, method: Any, _properties: object, _body: bytes) -> None:
        nonlocal left
        channel.basic_ack(method.delivery_tag)
        left -= 1

    found: dict[str, Any] = {"messages": left}
    with timed(found):
        for queue in _declared(channel):
            channel.basic_consume(queue, take)
        while left:
            channel.connection.process_data_events(time_limit=1)
    channel.connection.close()
    return found


def _declared(channel: Any) -> list[str]:
    """The queues of fares, as a site has them."""
    fares = [queue for queue in topology(QueueRules()) if queue.name.startswith("fms.fare.")]
    stages = [queue for queue in fares if not queue.name.endswith(".dead")]
    for queue in stages:
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
    return [queue.name for queue in stages]


def pages(url: str, alone_url: str, fares: str, cycle: str) -> dict[str, Any]:
    """The commands of the price book for a cycle, with the values that it has at ``url``, sent to ``alone_url``.

    Before cycle 1 nothing is there; in cycle 2 every page is known, and written again for its times.
    """
    known, alone = _connected(url), _connected(alone_url)
    found: dict[str, Any] = dict.fromkeys(SIZES, 0)
    turns: list[tuple[Command, list[Command]]] = []
    counted: set[str] = set()
    for batch in batches_of(fares, FareBatch):
        names, keys = Names(PREFIX, batch.partition), _keys(batch)
        values, texts = _ask(known, ("MGET", *names.pages(keys)), ("MGET", *names.descriptions(keys)))
        new = dict(zip(keys, values, strict=True))
        about = dict(zip(keys, texts, strict=True)) if cycle == "1" else {}
        indexed = index(names, new, () if cycle == "1" else keys)
        write = [*writes(names, new, about, {names.version: len(turns)}), *indexed]
        turns.append((("MGET", names.version, *names.pages(keys)), write))
        fresh = [key for key in keys if key not in counted]
        counted.update(fresh)
        for number, size in enumerate(_sizes(known, names, fresh)):
            found[SIZES[number]] += size
    with timed(found):
        for read, write in turns:
            _ask(alone, read)
            _ask(alone, ("WATCH", read[1]), ("GET", read[1]))
            _ask(alone, ("MULTI",), *write, ("EXEC",))
    return found


def _sizes(connection: Any, names: Names, keys: list[str]) -> tuple[int, ...]:
    """See ``SIZES``."""
    kinds = names.pages(keys), names.descriptions(keys)
    of_each: tuple[Command, ...] = ("STRLEN",), ("MEMORY", "USAGE")
    asked = [[(*command, name) for name in some] for command in of_each for some in kinds]
    return len(keys), *(sum(_ask(connection, *some)) for some in asked)


def _connected(url: str) -> Any:
    return ConnectionPool.from_url(url).get_connection()


def _ask(connection: Any, *commands: Command) -> list[Any]:
    connection.send_packed_command(connection.pack_commands(commands))
    return [connection.read_response() for _ in commands]


def _keys(batch: FareBatch) -> list[str]:
    """The pages that the fares of a batch are on."""
    od, day = codes(batch.column("od")), ints(batch.column("departure_date"))
    names = batch.column("od").dictionary.to_pylist()
    found = np.unique(od << 32 | day)
    return [page_key(names[one >> 32], one & 0xFFFFFFFF) for one in found.tolist()]


class _Asked:
    """A ledger that notes what it is asked, and knows no alerts."""

    def __init__(self) -> None:
        self.probes: list[Probe] = []

    def candidates(self, probe: Probe) -> list[Alert]:
        self.probes.append(probe)
        return []

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        raise AssertionError(outcomes)


def questions(changes: str) -> dict[str, Any]:
    """The statements with which match asks for the alerts that changes may concern, through psycopg2 alone.

    The site is that of the environment, before match sees these changes. The statements are run once to know them.
    """
    asked = _Asked()
    match = Match(asked)
    for batch in batches_of(changes, ChangeBatch):
        match.process(batch)
    with open_site() as site:
        ledger = SqlAlertLedger(site.router, site.mint)
        statements: list[tuple[str, str, Any]] = []
        for shard in site.router.all():
            event.listen(shard.engine, "before_cursor_execute", _noting(statements, shard.name))
        for probe in asked.probes:
            ledger.candidates(probe)
        urls = {shard.name: shard.engine.url.set(drivername="postgresql") for shard in site.router.all()}
    return _repeated(statements, {name: url.render_as_string(hide_password=False) for name, url in urls.items()})


def _noting(statements: list[tuple[str, str, Any]], shard: str) -> Callable[..., None]:
    def note(_connection: object, _cursor: object, statement: str, values: Any, *_more: object) -> None:
        statements.append((shard, statement, values))

    return note


def _repeated(statements: Sequence[tuple[str, str, Any]], urls: dict[str, str]) -> dict[str, Any]:
    extensions.set_wait_callback(None)
    connections = {shard: psycopg2.connect(url) for shard, url in urls.items()}
    cursors = {shard: connection.cursor() for shard, connection in connections.items()}
    found: dict[str, Any] = {"statements": len(statements), "rows": 0}
    with timed(found):
        for shard, statement, values in statements:
            cursor = cursors[shard]
            # What a transaction sets is set again for each.
            if statement.startswith("SET"):
                connections[shard].commit()
            cursor.execute(statement, values or None)
            if cursor.description:
                found["rows"] += len(cursor.fetchall())
    for connection in connections.values():
        connection.close()
    return found


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "publish": publish,
    "consume": consume,
    "pages": pages,
    "questions": questions,
}

if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
