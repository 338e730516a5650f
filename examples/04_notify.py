"""The whole path with a channel of your own: a channel is anything with a ``send``.

Prints::

    TO me@example.org
    porto-15-off: LIS-OPO 4.99 EUR, 10.00 under your drop to 14.99 (may be a mistake)
        Mon 08 Feb 2027, FR1483, economy, from sample, seen 25 min ago, was 29.99 on this flight
    tokyo-in-bloom: SFO-NRT 819.00 USD, 41.31 under 860.31, 1 % below the low it beats
        Wed 24 Mar 2027 to Sat 03 Apr, 10 nights, JL57 / JL58, economy, from sample, seen 19 min ago, was 869.00 on these flights
    +4 in your inbox
    {'gone': 1, 'sent': 6, 'superseded': 3}
"""  # noqa: E501  # a line is shown as it is printed

import tempfile

from fms import open_site
from fms.channels.words import lines
from fms.demo import alerts, fares
from fms.model.notification import Push
from fms.runs import replay
from fms.sources.open import open_source


class Shout:
    """A channel that is hard to miss."""

    def send(self, push: Push, now: int) -> None:
        """Print two of the fares; ``now`` (UTC ms) is what their age is counted to."""
        print(f"TO {push.user.email}", *lines(push, now, most=2), sep="\n")


with tempfile.TemporaryDirectory() as data, open_site(data) as site, site.exclusive():
    site.alerts.import_file(alerts(), "me@example.org")
    report = replay(site, [open_source(str(fares()))], channel=Shout())
    print(report.told)
