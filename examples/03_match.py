"""Match alone: which alerts of a site a change fires."""

import tempfile

from fms.sources.open import open_source

from fms import Pipeline, open_site
from fms.demo import alerts, fares

with tempfile.TemporaryDirectory() as data, open_site(data) as site:
    site.alerts.import_file(alerts(), "me@example.org")
    site.alerts.evaluate_owed()
    pipeline = Pipeline(site.diff(), match := site.match())
    for batch in site.ingest().batches(open_source(fares())):
        pipeline.feed(batch)
    print(f"{match.counts['fired']} firings")
