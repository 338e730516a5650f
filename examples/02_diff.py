"""Diff alone: what moved between the fares of a file, with a price book in memory that nobody keeps.

Prints::

    HND-CTS on 2027-02-06 sold out: it was 8900
    210 first seen, 308 moved, 2831 unchanged, 1 gone
"""

from fms import Diff, Ingest
from fms.demo import fares
from fms.model.change import GONE
from fms.pricebook.memory import MemoryPageStore
from fms.sources.open import open_source

diff = Diff(MemoryPageStore())
for batch in Ingest().batches(open_source(str(fares()))):
    for change in diff.process(batch).rows():
        if change.kind == GONE:
            print(f"{change.fare.od} on {change.fare.departure_date} sold out: it was {change.old_price}")
    diff.settle()
counts = diff.counts
print(f"{counts.first_seen} first seen, {counts.moved} moved, {counts.unchanged} unchanged, {counts.gone} gone")
