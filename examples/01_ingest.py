"""Ingest alone: which documents of a file are fares, and why the others are not.

Prints::

    3360 of 3368 documents are fares, the cheapest LIS-OPO on 2027-02-08 at 499 minor units of EUR
    line 421: not_json
    line 631: bad_origin
    line 1055: wrong_type
    line 1265: price_not_positive
    line 1687: bad_departure_date
    line 2112: bad_currency
    line 2531: too_many_decimals
    line 2950: same_airports
"""

from fms import Fare, Ingest
from fms.demo import fares
from fms.model.document import Reject
from fms.sources.open import open_source

rejects: list[Reject] = []
ingest = Ingest(on_reject=rejects.append)
found: list[Fare] = [fare for batch in ingest.batches(open_source(str(fares()))) for fare in batch.rows()]
low = min((fare for fare in found if fare.currency == "EUR"), key=lambda fare: fare.price)
lowest = f"{low.od} on {low.departure_date} at {low.price} minor units of {low.currency}"
print(f"{ingest.counts.accepted} of {ingest.counts.documents} documents are fares, the cheapest {lowest}")
for reject in rejects:
    print(f"line {reject.number}: {reject.reason}")
