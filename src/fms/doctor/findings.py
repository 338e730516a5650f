"""What a check answers, and how checks are made side by side."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Literal, TypeVar

from fms.errors import FmsError, Transient

State = Literal["ok", "warning", "error"]
Answer = TypeVar("Answer")

ANSWER_SECONDS = 4.0
"""How long a service may take for an answer."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        state: ``error``: something will not work, or may be lost.
        service, check: of what, and which.
        found: in one line.
        advice: what to do; empty if nothing is to be done.
    """

    state: State
    service: str
    check: str
    found: str
    advice: str = ""


def ok(service: str, check: str, found: str) -> Finding:
    """All is well."""
    return Finding("ok", service, check, found)


def warning(service: str, check: str, found: str, advice: str) -> Finding:
    """It goes on like this, but somebody should look."""
    return Finding("warning", service, check, found, advice)


def error(service: str, check: str, found: str, advice: str) -> Finding:
    """Something will not work, or may be lost."""
    return Finding("error", service, check, found, advice)


def together(tasks: Mapping[str, Callable[[], Answer]], seconds: float) -> dict[str, Answer | Finding]:
    """Do tasks side by side; answers for each what it gave, or a finding about what kept it from that.

    In threads, as nothing else can leave a call that does not come back, like the look-up of a host's name.
    """
    answers: dict[str, Answer | Finding] = {}

    def do(service: str, task: Callable[[], Answer]) -> None:
        try:
            answers[service] = task()
        except FmsError as failure:
            answers[service] = failed(service, failure)
        except Exception as failure:  # noqa: BLE001  # one check must not end the others
            # Its text is not shown: it might quote a password.
            answers[service] = error(
                service, "usable", f"the check failed: {type(failure).__name__}", "report it as a bug"
            )

    threads = [Thread(target=do, args=item, daemon=True) for item in tasks.items()]
    for thread in threads:
        thread.start()
    end = monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - monotonic()))
    return {service: answers[service] if service in answers else _late(service, seconds) for service in tasks}


def failed(service: str, failure: FmsError) -> Finding:
    """A service that cannot be used."""
    if isinstance(failure, Transient):
        return error(service, "reachable", str(failure), "see whether it runs and answers, and where: fms config show")
    return error(service, "usable", str(failure), "put that right, or name another: fms config show")


def _late(service: str, seconds: float) -> Finding:
    return error(service, "reachable", f"not done within {seconds:g} s", "see whether it is frozen, or its host away")


def flat(answers: Iterable[list[Finding] | Finding]) -> list[Finding]:
    """All findings, in their order."""
    return [one for answer in answers for one in (answer if isinstance(answer, list) else [answer])]
