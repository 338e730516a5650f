"""Whether a refused device is to blame or a setting of ours: only if others are accepted meanwhile, the device is."""

from dataclasses import dataclass, field

from fms.channels.outcomes import Config, Outcome, Retire, Retry, Sent

PERIOD_MS = 300_000
MANY = 5
"""So many devices refused, and a fifth of all that were answered: it is not the devices."""

MOST_STRUCK = 10_000


@dataclass
class _Period:
    since: int = 0
    accepted: int = 0
    refused: set[str] = field(default_factory=set)


@dataclass
class _Strikes:
    """How often a device was refused in a row, and how many sends had been accepted when that began."""

    accepted_before: int
    count: int = 0


class Doubts:
    """The doubtful refusals of one provider, or of one push service, as far as this process has seen them."""

    def __init__(self) -> None:
        self._accepted = 0
        self._before, self._current = _Period(), _Period()
        self._strikes: dict[str, _Strikes] = {}

    def judged(self, outcome: Outcome, device: str, now: int) -> Outcome:
        """The outcome for this device, where a ``Retire`` in doubt is one only if it is confirmed.

        It is ``Config`` if many devices are refused, else ``Retry`` until it was said often enough and others were
        accepted since it was said first. ``now``: UTC ms.
        """
        self._turn(now)
        if isinstance(outcome, Sent):
            self._accept(device)
        if not isinstance(outcome, Retire) or not outcome.confirm:
            return outcome
        strikes = self._strike(device)
        if self._many_are_refused():
            return Config(outcome.why)
        if strikes.count >= outcome.confirm and self._accepted > strikes.accepted_before:
            del self._strikes[device]
            return Retire(outcome.why)
        return Retry(f"{outcome.why}, in doubt")

    def _turn(self, now: int) -> None:
        if now - self._current.since >= PERIOD_MS:
            just_before = now - self._current.since < 2 * PERIOD_MS
            self._before = self._current if just_before else _Period()
            self._current = _Period(now)

    def _accept(self, device: str) -> None:
        self._accepted += 1
        self._current.accepted += 1
        self._strikes.pop(device, None)

    def _strike(self, device: str) -> _Strikes:
        if device not in self._strikes and len(self._strikes) >= MOST_STRUCK:
            del self._strikes[next(iter(self._strikes))]
        if len(self._current.refused) < MOST_STRUCK:
            self._current.refused.add(device)
            self._before.refused.discard(device)
        strikes = self._strikes.setdefault(device, _Strikes(self._accepted))
        strikes.count += 1
        return strikes

    def _many_are_refused(self) -> bool:
        refused = len(self._before.refused) + len(self._current.refused)
        answered = refused + self._before.accepted + self._current.accepted
        return refused >= MANY and refused * 5 >= answered
