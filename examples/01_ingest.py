"""Ingest alone: which documents of a file are fares, and why the others are not."""

from collections import Counter

from fms.sources.open import open_source

from fms import Ingest
from fms.demo import fares

rejects: Counter[str] = Counter()
ingest = Ingest(on_reject=lambda reject: rejects.update([reject.reason]))
cheapest = min((fare for batch in ingest.batches(open_source(fares())) for fare in batch.rows()), key=lambda f: f.price)
print(f"{ingest.counts.accepted} fares, cheapest {cheapest.od} {cheapest.price} {cheapest.currency}")
print(dict(rejects))
