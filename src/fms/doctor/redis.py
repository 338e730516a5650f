"""One Redis server of a price book."""

from collections.abc import Mapping

from fms.doctor.findings import Finding, error, ok, warning
from fms.pricebook.redis.health import RedisHealth

OLDEST = 6
FULL_PERCENT = 80
NO_EVICTION = "noeviction"


def redis_server(service: str, health: RedisHealth) -> list[Finding]:
    """What it says of itself, judged."""
    info = health.info
    found = [_version(service, info), _eviction(service, info), _memory(service, info), _persistence(service, info)]
    return [*found, _cluster(service, health.cluster)] if health.cluster else found


def _version(service: str, info: Mapping[str, str]) -> Finding:
    version = info.get("redis_version", "")
    found = f"{info.get('server_name', 'redis').capitalize()} {info.get('valkey_version', version)}"
    if not version.partition(".")[0].isdecimal() or int(version.partition(".")[0]) < OLDEST:
        return error(service, "version", found, f"upgrade it to {OLDEST} or newer")
    if info.get("role", "master") != "master":
        return error(service, "version", f"{found}, a replica, which takes no writes", "name the primary in the URL")
    return ok(service, "version", found)


def _eviction(service: str, info: Mapping[str, str]) -> Finding:
    policy = info.get("maxmemory_policy", "unknown")
    found = f"maxmemory-policy is {policy}"
    if policy != NO_EVICTION:
        advice = f"set it to {NO_EVICTION}: a page that is evicted is news to everybody when it is seen again"
        return error(service, "eviction", found, advice)
    return ok(service, "eviction", found)


def _memory(service: str, info: Mapping[str, str]) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most:
        return ok(service, "memory", f"{_mb(used)} used; maxmemory is not set")
    found = f"{_mb(used)} of {_mb(most)} used"
    if used * 100 > most * FULL_PERCENT:
        return warning(service, "memory", found, "raise maxmemory: a full price book keeps the price workers waiting")
    return ok(service, "memory", found)


def _mb(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MB"


def _persistence(service: str, info: Mapping[str, str]) -> Finding:
    wrong = [name for name in ("rdb_last_bgsave_status", "aof_last_write_status") if info.get(name, "ok") != "ok"]
    if wrong:
        return error(
            service, "persistence", f"{wrong[0]} is {info[wrong[0]]}", "make room where it saves: its log says why"
        )
    kept = "every write" if info.get("aof_enabled") == "1" else "dumps, if they are switched on"
    return ok(
        service, "persistence", f"keeps {kept}; after a restart all fares are checked again, and nothing told twice"
    )


def _cluster(service: str, cluster: Mapping[str, str]) -> Finding:
    state = cluster.get("cluster_state", "unknown")
    found = f"cluster_state is {state}, {cluster.get('cluster_size', '?')} primaries"
    if state != "ok":
        return error(service, "cluster", found, "see which of its servers are away: CLUSTER NODES")
    return ok(service, "cluster", found)
