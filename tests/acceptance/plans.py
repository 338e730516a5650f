"""Random lives of a small site: which fares are seen, and what people do to their alerts in between."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from tests.acceptance.harness import World
from tests.acceptance.story import DAY_0, day
from tests.reference_fares import partition_of

HOUR = timedelta(hours=1)
RULES = {"fx": {"noise_bp": 100, "believe_days": 1}, "always": {"believe_days": 0}}

_AIRPORTS = ("JFK", "LHR", "CDG", "FRA", "AMS", "MAD", "FCO", "BGY", "STN", "DUB")
_ROUTES = [(one, two) for one in _AIRPORTS for two in _AIRPORTS if one != two]
# Two routes of one partition share its ticks; the third lives apart.
NEIGHBOURS = next(
    pair for pair in combinations(_ROUTES, 2) if len({partition_of("-".join(route)) for route in pair}) == 1
)
ELSEWHERE = next(route for route in _ROUTES if partition_of("-".join(route)) != partition_of("-".join(NEIGHBOURS[0])))
ROUTES = (*NEIGHBOURS, ELSEWHERE)

PRICES = (
    9_000, 9_900, 27_000, 28_215, 28_499, 28_500, 28_501, 29_699, 29_700, 29_701, 29_850, 30_000, 30_000, 30_001,
    30_150, 30_600, 30_601, 31_500, 36_000, 37_500, 45_000,
)  # fmt: skip
"""Minor units around a target of 30,000, its 95 % and 102 %, a third of it, and what gives it after a drop."""

_FLIGHTS: tuple[dict[str, Any], ...] = (
    {"outbound_flights": ["AA100"]},
    {"outbound_flights": ["AA100"], "fare_brand": "Basic"},
    {"outbound_flights": ["AA100"], "source": "fx"},
    {"outbound_flights": ["BA178"]},
    {"outbound_flights": ["BA178", "AA7"], "source": "always"},
    {"carrier": "AF", "departure_time": "08:15"},
    {"carrier": "AF", "departure_time": "18:15", "source": "fx"},
    {},
    {"outbound_flights": ["AA100"], "return_flights": ["AA101"], "nights": 5},
    {"outbound_flights": ["AA100"], "return_flights": ["BA179"], "nights": 7},
)
_BAD: tuple[str | dict[str, Any], ...] = ("{", "", "[]", {"origin": "JFK"}, '{"total_amount": 3.5}')

Step = tuple[str, Any]


@dataclass
class Plan:
    """What happens, in order: runs, imports, edits, pauses, resumptions, deletions."""

    steps: list[Step] = field(default_factory=list)

    def __repr__(self) -> str:
        return "Plan([\n" + "".join(f"    {step!r},\n" for step in self.steps) + "])"


def play(step: Step, world: World) -> dict[str, Any]:
    """Do one step; answers the counts of a run."""
    verb, what = step
    if verb == "run":
        return world.run(what["files"], what["alerts"])
    if verb in ("import", "edit"):
        world.import_alerts(what, update=verb == "edit")
    else:
        world.change(verb, what)
    return {}


@st.composite
def _products(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for _ in range(draw(st.integers(1, 4))):
        origin, destination = draw(st.sampled_from((*[NEIGHBOURS[0]] * 4, *ROUTES)))
        departs = draw(st.sampled_from((120, 120, 120, 12, 3)))
        flight = dict(draw(st.sampled_from(_FLIGHTS)))
        product = {"origin": origin, "destination": destination, "departure_date": day(departs).isoformat()}
        if nights := flight.pop("nights", None):
            product["return_date"] = day(departs + nights).isoformat()
        found.append(product | {"currency": "USD"} | flight)
    return found


@st.composite
def _alert(draw: st.DrawFn, ref: str, market: dict[str, Any], kind: str) -> dict[str, Any]:
    first, last = draw(st.sampled_from(((3, 120), (3, 120), (12, 120), (120, 120), (3, 12))))
    amount = {
        "target": {"target_minor": draw(st.sampled_from((30_000, 30_000, 28_500, 33_000)))},
        "drop_percent": {"drop_bp": draw(st.sampled_from((100, 500, 2_000)))},
        "drop_amount": {"drop_minor": draw(st.sampled_from((1, 300, 1_500, 40_000)))},
        "new_low": {},
    }[kind]
    more: list[dict[str, Any]] = [{}] * 4 + [
        {"max_stops": 0}, {"carriers_in": ["AA", "AF"]}, {"carriers_out": ["BA"]},
    ]  # fmt: skip
    wanted = dict(draw(st.sampled_from(more)))
    if market["trip_type"] == "round_trip":
        back_by = {"return_to": day(max(first, 20)).isoformat()}
        wanted |= draw(st.sampled_from(({}, {"min_nights": 6}, {"max_nights": 6}, back_by)))
    window = {"depart_from": day(first).isoformat(), "depart_to": day(last).isoformat()}
    return {"ref": ref, "kind": kind, "currency": "USD"} | market | window | amount | wanted


class _Drawing:
    """A plan on its way: what time it is, and which alerts there are."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.products = draw(_products())
        self.now = 0  # half hours since the story began
        self.alerts: dict[str, dict[str, Any]] = {}
        self.paused: set[str] = set()
        self.made = 0

    def new_alert(self) -> dict[str, Any]:
        product = self.draw(st.sampled_from((*[self.products[0]] * 3, *self.products)))
        market = {"origin": product["origin"], "destination": product["destination"]}
        market["trip_type"] = "round_trip" if "return_date" in product else "one_way"
        self.made += 1
        kind = self.draw(st.sampled_from(("target", "target", "drop_percent", "drop_amount", "new_low")))
        # A deleted alert's ref is used again now and then.
        ref = f"alert {self.made % 4}" if f"alert {self.made % 4}" not in self.alerts else f"alert {self.made + 10}"
        self.alerts[ref] = self.draw(_alert(ref, market, kind))
        return self.alerts[ref]

    def edited(self) -> dict[str, Any]:
        before = self.alerts[self.draw(st.sampled_from(sorted(self.alerts)))]
        market = {name: before[name] for name in ("origin", "destination", "trip_type")}
        after = self.draw(_alert(before["ref"], market, before["kind"]))
        if self.draw(st.booleans()):
            after = before | {name: after[name] for name in ("target_minor", "drop_bp", "drop_minor") if name in after}
        self.alerts[before["ref"]] = after
        return after

    def file(self) -> list[str | dict[str, Any]]:
        lines: list[str | dict[str, Any]] = [self.row(0)]
        for _ in range(self.draw(st.integers(0, 6))):
            back = self.draw(st.sampled_from((*[0] * 15, 1, 2, 26, 144, 145)))
            bad = self.draw(st.integers(0, 19)) == 19
            lines.append(self.draw(st.sampled_from(_BAD)) if bad else self.row(back))
            self.now += self.draw(st.sampled_from((0, 0, 0, 0, 0, 0, 1, 2)))
        return lines

    def row(self, back: int) -> dict[str, Any]:
        at = DAY_0 + timedelta(days=(self.now - back) // 48)
        half_hours = (self.now - back) % 48
        observed = f"{at}T{half_hours // 2:02d}:{half_hours % 2 * 30:02d}:00.000Z"
        price = self.draw(st.sampled_from(PRICES))
        product: dict[str, Any] = self.draw(st.sampled_from(self.products))
        return product | {"observed_at": observed, "total_amount_minor": price}

    def step(self) -> Step:
        running = sorted(self.alerts.keys() - self.paused)
        verbs = ["run"] * 8 + ["import"] + ["edit", "edit", "again", "delete"] * bool(self.alerts)
        verb = self.draw(st.sampled_from([*verbs, *["pause"] * bool(running), *["resume"] * 3 * bool(self.paused)]))
        if verb == "run":
            return "run", self.run()
        if verb in ("import", "again"):
            again = verb == "again"
            return "import", [
                self.alerts[self.draw(st.sampled_from(sorted(self.alerts)))] if again else self.new_alert()
            ]
        if verb == "edit":
            return "edit", [self.edited()]
        return self.change(verb, running)

    def run(self) -> dict[str, Any]:
        files = [self.file() for _ in range(self.draw(st.sampled_from((1, 1, 2))))]
        self.now += self.draw(st.sampled_from((1, 2, 6, 6, 12, 12, 24, 49, 145)))
        return {"files": files, "alerts": [self.new_alert()] if self.draw(st.integers(0, 3)) == 3 else None}

    def change(self, verb: str, running: list[str]) -> Step:
        among = {"pause": running, "resume": sorted(self.paused), "delete": sorted(self.alerts)}
        ref = self.draw(st.sampled_from(among[verb]))
        self.paused = self.paused | {ref} if verb == "pause" else self.paused - {ref}
        if verb == "delete":
            del self.alerts[ref]
        return verb, ref


@st.composite
def plans(draw: st.DrawFn, longest: int = 12) -> Plan:
    """A plan of a few steps, which ends with a run."""
    drawing = _Drawing(draw)
    steps: list[Step] = []
    if draw(st.booleans()):
        steps.append(("import", [drawing.new_alert() for _ in range(draw(st.integers(1, 3)))]))
    steps += [drawing.step() for _ in range(draw(st.integers(longest // 2, longest)))]
    return Plan([*steps, ("run", {"files": [drawing.file()], "alerts": None})])
