"""Names of queues, what they are declared with, and the form of messages."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest

from fms.errors import Invalid
from fms.model.batch import Batch, write_batches
from fms.model.change import ChangeBatch
from fms.model.fare import FareBatch
from fms.model.notification import Message, OutboxBatch
from fms.model.route import partition_of_od, partition_of_slot, slot_of_user
from fms.ports import Delivery, Headers
from fms.queues.routes import FEW, Routes
from fms.queues.topology import (
    CHANGES,
    DELAYS,
    FARES,
    KINDS,
    OUTBOX,
    QueueRules,
    claim_of,
    dead_letters_of,
    delay_of,
    queue_of,
    topology,
)
from fms.queues.wire import AT, BATCH, RUN, TRACE, Headings, Letter, packed, unpacked
from tests.builders import FARE, MINT, MONDAY, change, change_batch, fare

PARTITION = partition_of_od(FARE.od)
BATCH_OF_FARES = FareBatch.of_fares([fare(), fare(price=39_000)], PARTITION)


def delivered(body: bytes, **headers: str | int) -> Delivery:
    told: Headers = {"fms.kind": FARES, "fms.version": 1, **headers}
    return Delivery(queue_of(FARES, PARTITION), body, told, None)


def test_names_say_kind_and_partition() -> None:
    assert [queue_of(FARES, 7), queue_of(CHANGES, 15), queue_of(OUTBOX, 0)] == [
        "fms.fare.07", "fms.change.15", "fms.outbox.00",
    ]  # fmt: skip
    assert (dead_letters_of(FARES), delay_of(10), claim_of("fms.fare.07")) == (
        "fms.fare.dead", "fms.delay.10", "fms.fare.07.claim",
    )  # fmt: skip


def test_there_is_a_queue_for_every_kind_and_partition_and_where_its_dead_letters_go_is_declared_before_it() -> None:
    names = [queue.name for queue in topology(QueueRules())]
    assert len(names) == len(set(names)) == 3 * 16 + 4 + len(DELAYS)
    for queue in topology(QueueRules()):
        goal = queue.arguments.get("x-dead-letter-routing-key")
        assert goal is None or names.index(goal) < names.index(queue.name)


def test_queues_between_stages_lose_nothing_and_keep_their_order() -> None:
    [queue] = [one for one in topology(QueueRules(deliveries=7, most=9)) if one.name == queue_of(CHANGES, 3)]
    assert dict(queue.arguments) == {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": 7,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "fms.change.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-max-length": 9,
    }


def test_classic_queues_are_asked_for_nothing_that_they_do_not_know() -> None:
    for queue in topology(QueueRules("classic")):
        assert queue.arguments["x-queue-type"] == "classic"
        assert not {"x-delivery-limit", "x-dead-letter-strategy"} & queue.arguments.keys()


def test_a_batch_comes_out_of_its_message_as_it_went_in() -> None:
    found = unpacked(delivered(packed(BATCH_OF_FARES)), FareBatch)
    assert found.partition == PARTITION
    assert list(found.rows()) == list(BATCH_OF_FARES.rows())


def test_headers_say_what_a_batch_is_and_what_it_was_made_from() -> None:
    headings = Headings(lambda: 123, "this run")
    fares = headings.of(BATCH_OF_FARES)
    assert {name: fares[name] for name in ("fms.kind", "fms.version", "fms.partition", "fms.rows", AT, RUN)} == {
        "fms.kind": FARES, "fms.version": 1, "fms.partition": PARTITION, "fms.rows": 2, AT: 123, RUN: "this run",
    }  # fmt: skip
    changes = Headings(lambda: 124, "another run").of(change_batch([change()]), fares)
    assert changes[RUN] == "this run"
    assert changes[BATCH] != fares[BATCH]
    assert str(changes[TRACE]).split("-")[1] == str(fares[TRACE]).split("-")[1]
    assert changes[TRACE] != fares[TRACE]


@pytest.mark.parametrize("odd", ["", "00-1-2-3", 17, "00-" + "g" * 31 + "-1-01"], ids=str)
def test_an_odd_trace_begins_a_new_one(odd: Any) -> None:
    found = str(Headings(lambda: 0).of(BATCH_OF_FARES, {TRACE: odd})[TRACE])
    version, trace, span, flags = found.split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")


def of_kind(kind: type[Batch], *batches: Batch) -> bytes:
    body = BytesIO()
    write_batches(body, kind, batches)
    return body.getvalue()


def damaged() -> bytes:
    """A batch whose codes lie beyond their dictionary: who read it blindly would read foreign memory."""
    columns = BATCH_OF_FARES.data.columns
    place = BATCH_OF_FARES.data.schema.get_field_index("od")
    wild = pa.DictionaryArray.from_arrays(pa.array([0, 9_999], pa.int32()), pa.array(["JFK-LHR"]), safe=False)
    arrays = [wild if number == place else column for number, column in enumerate(columns)]
    data = pa.RecordBatch.from_arrays(arrays, schema=FareBatch.SCHEMA)
    return of_kind(FareBatch, FareBatch(data, PARTITION))


def without(name: str) -> bytes:
    columns = dict(zip(FareBatch.SCHEMA.names, BATCH_OF_FARES.data.columns, strict=True))
    columns[name] = pa.nulls(2, FareBatch.SCHEMA.field(name).type)
    return of_kind(FareBatch, FareBatch.of_columns(columns, PARTITION))


@pytest.mark.parametrize(
    ("delivery", "why"),
    [
        (delivered(b""), "no file of fare batches"),
        (delivered(b"\xff" * 100), "no file of fare batches"),
        (delivered(packed(BATCH_OF_FARES)[:-40]), "cut off or damaged|found 0"),
        (delivered(packed(change_batch([change()]))), "expected fare batches, found change"),
        (delivered(b"", **{"fms.kind": CHANGES}), "expected a message of fare batches, found 'change'"),
        (delivered(packed(BATCH_OF_FARES), **{"fms.version": 2}), "schema version 2, this fms knows 1"),
        (delivered(packed(BATCH_OF_FARES), **{"fms.version": "1"}), "schema version 1, this fms knows 1"),
        (delivered(of_kind(FareBatch)), "expected one fare batch, found 0"),
        (delivered(of_kind(FareBatch, BATCH_OF_FARES, BATCH_OF_FARES)), "expected one fare batch, found 2"),
        (delivered(packed(replace(BATCH_OF_FARES, partition=PARTITION + 1))), "with fares of 'JFK-LHR'"),
        (delivered(damaged()), "damaged fare batch"),
        (delivered(without("price")), "fare batch without price in 2 rows"),
    ],
)
def test_a_message_that_cannot_be_trusted_is_refused_with_the_reason(delivery: Delivery, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        unpacked(delivery, FareBatch)


def message(user: str) -> Message:
    return Message(
        notification_id=MINT.new(1), alert_id=MINT.new(2), user_id=MINT.new(slot_of_user(user)), user=user, ref="mine",
        kind="target", edition=1, hour=MONDAY // 3_600_000, revision=1, series=5, old_price=None, trigger=40_000,
        threshold=40_000, unusual=False, evaluated=False, fare=fare(),
    )  # fmt: skip


def letters_of(users: list[str]) -> list[tuple[Letter, OutboxBatch]]:
    letters = list(Routes(Headings(lambda: 0)).by_user(OutboxBatch.of_messages([message(one) for one in users])))
    return [(one, unpacked(Delivery(one.queue, one.body, one.headers, None), OutboxBatch)) for one in letters]


USERS = [f"user{number}@example.org" for number in range(FEW + 1)]


def test_what_fired_goes_to_the_partition_of_its_user() -> None:
    found = letters_of(USERS)
    assert sum(len(batch) for _, batch in found) == FEW + 1
    for letter, batch in found:
        assert letter.queue == queue_of(OUTBOX, batch.partition)
        assert {partition_of_slot(slot_of_user(one.user)) for one in batch.rows()} == {batch.partition}
        assert len(batch.column("user").dictionary) == len(batch)


def test_the_few_that_fired_go_together_to_the_partition_of_the_first_ones_user() -> None:
    [(letter, batch)] = letters_of(USERS[:FEW])
    assert [one.user for one in batch.rows()] == USERS[:FEW]
    assert letter.queue == queue_of(OUTBOX, batch.partition)
    assert batch.partition == partition_of_slot(slot_of_user(USERS[0]))


def test_nothing_fired_is_no_letter_and_nothing_changed_is_none_either() -> None:
    routes = Routes(Headings(lambda: 0))
    assert list(routes.by_user(OutboxBatch.of_messages([]))) == []
    assert list(routes.by_route(change_batch([]))) == []
    assert list(routes.nowhere(change_batch([change()]))) == []


def test_fares_and_changes_stay_in_their_partition() -> None:
    routes = Routes(Headings(lambda: 0))
    [fares] = routes.by_route(BATCH_OF_FARES)
    [changes] = routes.by_route(replace(change_batch([change()]), partition=PARTITION))
    assert [fares.queue, changes.queue] == [queue_of(FARES, PARTITION), queue_of(CHANGES, PARTITION)]
    assert isinstance(unpacked(Delivery("", changes.body, changes.headers, None), ChangeBatch), ChangeBatch)
    assert KINDS == (FARES, CHANGES, OUTBOX)
