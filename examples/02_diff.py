"""Diff alone: what moved between the fares of a file, with a price book in memory."""

from fms.sources.open import open_source

from fms import Diff, Ingest
from fms.demo import fares
from fms.model.change import KIND_NAMES
from fms.pricebook.memory import MemoryPageStore

diff = Diff(MemoryPageStore())
for batch in Ingest().batches(open_source(fares())):
    for change in diff.process(batch).rows():
        if KIND_NAMES[change.kind] == "gone":
            print(f"{change.fare.od} on {change.fare.departure_date} is gone, it was {change.old_price}")
    diff.settle()
print(diff.counts)
