"""Match alone: which alerts of a site are fired by what moved. A message is what notify would be given.

Prints::

    sapporo-snow-festival HND-CTS 8900 at or below 9000
    sapporo-snow-festival HND-CTS 8700 at or below 9000
    london-before-christmas JFK-LHR 31900 at or below 32000
    london-before-christmas JFK-LHR 28900 at or below 30305
    london-lying-flat JFK-LHR 1200 at or below 200000
    bergamo-weekend STN-BGY 2499 at or below 2799
    porto-under-25 LIS-OPO 2299 at or below 2500
    porto-15-off LIS-OPO 499 at or below 1499
    tokyo-in-bloom SFO-NRT 86900 at or below 91971
    tokyo-in-bloom SFO-NRT 81900 at or below 86031
"""

import tempfile

from fms import open_site
from fms.demo import alerts, fares
from fms.sources.open import open_source

with tempfile.TemporaryDirectory() as data, open_site(data) as site:
    site.alerts.import_file(alerts(), "me@example.org")
    site.alerts.evaluate_owed()
    diff, match = site.diff(), site.match()
    for batch in site.ingest().batches(open_source(str(fares()))):
        for message in match.process(diff.process(batch)).rows():
            print(message.ref, message.fare.od, message.fare.price, "at or below", message.trigger)
        diff.settle()
