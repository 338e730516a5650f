"""The metrics of the API, added up over its processes where there are several."""

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from fms.metrics import API_SECONDS

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder through which processes add up; it is to be set before the client library is imported."""

_REGISTRY = CollectorRegistry() if SHARED not in os.environ else REGISTRY

requests = Counter(
    "fms_api_requests", "Requests, by route, method and status.", ["route", "method", "status"], registry=_REGISTRY
)
seconds = Histogram(
    "fms_api_seconds", "Seconds to answer a request.", ["route", "method"], buckets=API_SECONDS, registry=_REGISTRY
)

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def count(route: str, method: str, status: int, took: float) -> None:
    """Count a request that took so many seconds. Methods that somebody invents are one."""
    method = method if method in METHODS else "other"
    requests.labels(route, method, status).inc()
    seconds.labels(route, method).observe(took)


def bury(pid: int) -> None:
    """Forget what a process that has ended said of its present state; what it counted stays."""
    if SHARED in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # of the client library


def exposition(accept: str) -> tuple[bytes, str]:
    """The metrics in the form that is accepted, and its type."""
    encode, kind = choose_encoder(accept)
    if SHARED not in os.environ:
        return encode(_REGISTRY), kind
    whole = CollectorRegistry()
    MultiProcessCollector(whole)  # type: ignore[no-untyped-call]  # of the client library
    return encode(whole), kind
