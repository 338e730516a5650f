"""The whole path with a channel of your own: a channel is anything with a ``send``."""

import tempfile

from fms.sources.open import open_source

from fms import open_site
from fms.channels.words import title
from fms.demo import alerts, fares
from fms.model.notification import Push
from fms.runs import replay


class Shout:
    def send(self, push: Push, now: int) -> None:
        for row in push.rows:
            print(push.user.email, title(row).upper())


with tempfile.TemporaryDirectory() as data, open_site(data) as site:
    site.alerts.import_file(alerts(), "me@example.org")
    report = replay(site, [open_source(fares())], channel=Shout())
    print(report.told)
