"""The API from a program: an account, an alert that a known fare fulfils already, and the inbox that tells of it.

Prints::

    201: fired, asked for 25.00 EUR or less, the best fare known is 2299 minor units
    sent again with its key: the same alert
    inbox: LIS-OPO, 2299 EUR minor units, pending
    without a token: 401 A valid access token is needed
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

WHEN = str((datetime.now(UTC) + timedelta(days=60)).date())
FARE = {"origin": "LIS", "destination": "OPO", "departure_date": WHEN, "currency": "EUR", "total_amount": "22.99"}
WISH = {"kind": "target", "target_minor": 2500, "origin": "LIS", "destination": "OPO", "currency": "EUR"}
ME = {"email": "me@example.org", "password": "correct horse battery staple"}
FMS = [sys.executable, "-m", "fms_cli"]


@contextmanager
def served(folder: str) -> Iterator[str]:
    """A server over a site with one fare; its host and port."""
    fares = Path(folder, "fares.jsonl")
    fares.write_text(json.dumps(FARE))
    subprocess.run([*FMS, "run", str(fares), "--data", folder], check=True, stdout=subprocess.DEVNULL)
    command = [*FMS, "serve", "--port", "0", "--data", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        listening = server.stdout.readline() if server.stdout else ""
        try:
            yield listening.partition("//")[2].partition(",")[0]
        finally:
            server.terminate()


def ask(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """One request; the status and the JSON of its answer."""
    connection = HTTPConnection(address)
    said = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, json.dumps(body), said)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


with TemporaryDirectory() as folder, served(folder) as address:
    ask("POST", "/api/auth/register", ME)
    tokens = ask("POST", "/api/auth/login", ME)[1]
    me = {"Authorization": f"Bearer {tokens['access_token']}"}
    wish = WISH | {"depart_from": WHEN, "depart_to": WHEN}
    status, alert = ask("POST", "/api/alerts", wish, Idempotency_Key="porto", **me)
    best = alert["best_fare"]["total_amount_minor"]
    print(f"{status}: {alert['state']}, asked for 25.00 EUR or less, the best fare known is {best} minor units")
    again = ask("POST", "/api/alerts", wish, Idempotency_Key="porto", **me)[1]
    print(f"sent again with its key: {'the same alert' if again == alert else 'another alert'}")
    row = ask("GET", "/api/notifications", **me)[1]["items"][0]
    where = f"{row['origin']}-{row['destination']}"
    print(f"inbox: {where}, {row['price_minor']} {row['currency']} minor units, {row['status']}")
    status, problem = ask("GET", "/api/alerts")
    print(f"without a token: {status} {problem['title']}")
