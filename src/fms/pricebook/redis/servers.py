"""The servers of a price book in Redis: one connection to each, and what their errors mean."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.connection import ConnectionPool
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from fms.errors import Fatal, FmsError, Transient
from fms.model.batch import first_line
from fms.pricebook.redis.keys import Command, packed

CONNECT_SECONDS, REPLY_SECONDS = 5, 10
"""After so long a server that does not answer is given up."""

Address = tuple[str, int]
"""Host and port of a node of a cluster."""

Connection = Any
"""A connection of redis-py, whose methods bear no types."""


class Lost(Transient):
    """The connection ended before the reply came."""


class Servers:
    """The servers behind a URL, and which of them has a key. ``reply_seconds``: how long one may take to answer."""

    def __init__(self, url: str, reply_seconds: float = REPLY_SECONDS) -> None:
        try:
            parts = urlsplit(url)
            place = f":{parts.port}" if parts.port else ""
            self._name = f"the price book at {parts.scheme}://{parts.hostname or ''}{place}{parts.path}"
            self._options = _options(parts.scheme, reply_seconds)
            self._pool = ConnectionPool.from_url(url, **self._options)
            self._connection_to(None)
        except (ValueError, TypeError, exceptions.RedisError):
            # What the library says may quote a part of the password.
            raise Fatal("no URL of a Redis: redis://user:password@host:port/database is one") from None
        self._url = url
        self._servers: dict[Address | None, Server] = {}
        self._cluster: Any = None  # a RedisCluster, whose methods bear no types either
        self._is_cluster: bool | None = None
        self._map_is_old = False

    def first(self) -> "Server":
        """The server that the URL names."""
        return self._server_at(None)

    def of(self, key: str) -> "Server":
        """The server that has the key; raises as ``RedisPageStore`` does."""
        if self._is_cluster is None:
            (said,) = self._server_at(None).ask(("INFO", "cluster"))
            self._is_cluster = b"cluster_enabled:1" in said
        return self._server_at(self._address_of(key) if self._is_cluster else None)

    def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            server.close()
        if self._cluster is not None:
            self._cluster.close()

    def _address_of(self, key: str) -> Address:
        """The node of a cluster that has a key. Its own client finds it; it is not used for anything else."""
        try:
            if self._cluster is None:
                self._cluster = RedisCluster.from_url(self._url, **self._options)
            elif self._map_is_old:
                self._cluster.nodes_manager.initialize()
            self._map_is_old = True
            node = self._cluster.get_node_from_key(key)
        except (exceptions.RedisError, exceptions.RedisClusterException) as error:
            raise _translated(self._name, error) from error
        self._map_is_old = False
        return node.host, node.port

    def _server_at(self, address: Address | None) -> "Server":
        if address not in self._servers:
            self._servers[address] = Server(self._name, lambda: self._connection_to(address), self._failed)
        return self._servers[address]

    def _connection_to(self, address: Address | None) -> Connection:
        where = {} if address is None else {"host": address[0], "port": address[1]}
        made: Connection = self._pool.connection_class(**(self._pool.connection_kwargs | where))
        return made

    def _failed(self) -> None:
        # MOVED, or a node that is gone: ask the cluster again who has what.
        self._map_is_old = True


class Server:
    """One connection to one server, made when it is needed and anew after every failure. Nothing is tried twice."""

    def __init__(self, name: str, make: Callable[[], Connection], on_failure: Callable[[], None]) -> None:
        self._name = name
        self._make = make
        self._on_failure = on_failure
        self._connection: Connection | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None

    def ask(self, *commands: Command) -> list[Any]:
        """The replies to commands that are sent together; raises as ``RedisPageStore`` does, also for one of EXEC's."""
        try:
            return self._ask(commands)
        except BaseException as error:
            # Replies may be on their way that nobody waits for.
            self.close()
            self._on_failure()
            if isinstance(error, exceptions.RedisError):
                raise _translated(self._name, error) from error
            raise

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._connection
        if connection is None:
            connection = self._make()
            connection.connect()
            self._connection = connection
        connection.send_packed_command([packed(commands)], check_health=False)
        replies = [connection.read_response() for _ in commands]
        for reply in replies:
            # Only EXEC answers errors among results; what was not refused is done then.
            if isinstance(reply, list) and (failed := next((one for one in reply if isinstance(one, Exception)), None)):
                raise failed
        return replies

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def _options(scheme: str, reply_seconds: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_connect_timeout": min(CONNECT_SECONDS, reply_seconds),
        "socket_timeout": reply_seconds,
        # A repeated write would come over a new connection, perhaps to a server that has forgotten what was watched.
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    return options if scheme == "unix" else options | {"socket_keepalive": True}


_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
_LATER = (
    exceptions.ConnectionError, exceptions.TimeoutError, exceptions.OutOfMemoryError, exceptions.ReadOnlyError,
    exceptions.ExecAbortError, exceptions.ClusterError, exceptions.AskError, exceptions.TryAgainError,
    exceptions.RedisClusterException,
)  # fmt: skip
_LATER_CODES = ("MISCONF", "NOREPLICAS", "BUSY", "UNKILLABLE", "CLUSTERDOWN", "MASTERDOWN")


def _translated(name: str, error: Exception) -> FmsError:
    text = f"{name}: {first_line(error)}"
    cause = error.__cause__ if isinstance(error, exceptions.RedisClusterException) else error
    if isinstance(cause, _REFUSED) or "certificate verify failed" in text.lower():
        return Fatal(text)
    if isinstance(error, exceptions.ConnectionError) and not isinstance(error, exceptions.BusyLoadingError):
        return Lost(text)
    if isinstance(error, _LATER) or str(error).split(" ")[0] in _LATER_CODES:
        return Transient(text)
    return Fatal(text)
