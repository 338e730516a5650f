"""A private RabbitMQ server, and fresh virtual hosts on it."""

import json
import secrets
import shutil
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import pika
from pika.exceptions import AMQPError

from tests.services.processes import Broken, Server, free_port, program, until

FIRST = "fms"
"""The virtual host that is there from the start."""

CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_vhost = {host}
disk_free_limit.absolute = 50MB
log.console = true
log.file = false
"""


@dataclass(frozen=True)
class Node:
    """A RabbitMQ server that runs, as any process of this machine can reach it.

    Orders go to the Erlang node itself: the command line tool of the package would take a second for each.
    """

    port: int
    orders: int
    cookie: str

    def url(self, host: str = FIRST) -> str:
        """URL of a virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{host}"

    def new_host(self) -> str:
        """URL of a new empty virtual host."""
        name = f"t{secrets.token_hex(8)}"
        self.evaluate(f"""
            ok = rabbit_vhost:add(<<"{name}">>, <<"tests">>),
            All = <<".*">>,
            ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{name}">>, All, All, All, <<"tests">>).
        """)
        return self.url(name)

    def drop_host(self, url: str) -> None:
        """Remove a virtual host and all that is in it, whoever is connected to it."""
        self.evaluate(f'rabbit_vhost:delete(<<"{url.rpartition("/")[2]}">>, <<"tests">>).')

    def close_connections(self, url: str) -> None:
        """Hang up on everybody who is connected to a virtual host."""
        self.evaluate(f"""
            [rabbit_networking:close_connection(Pid, "by a test") ||
             [{{pid, Pid}}, {{vhost, <<"{url.rpartition("/")[2]}">>}}] <-
             rabbit_networking:connection_info_all([pid, vhost])].
        """)

    def written(self) -> str:
        """Itself as text, for ``read``."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """What ``written`` wrote."""
        return cls(**json.loads(text))

    def evaluate(self, expressions: str) -> str:
        """What the last of some Erlang expressions gives, as Erlang writes it; raises Broken if one fails."""
        # Two at once need two names; those that erl_call finds by itself are the same within a second.
        us = ["-h", f"t{secrets.token_hex(8)}", "-c", self.cookie]
        line = [str(program("erl_call")), "-e", *us, "-address", f"127.0.0.1:{self.orders}"]
        done = subprocess.run(line, input=f"{expressions}\n", capture_output=True, text=True, check=False, timeout=30)
        if not done.stdout.startswith("{ok, "):
            raise Broken(f"{expressions}: {done.stdout}{done.stderr}")
        return done.stdout[5:-1]


class RabbitMQ(Server):
    """A private RabbitMQ server on one processor, without plug-ins.

    Args:
        folder, owner: see ``Server``.
    """

    def __init__(self, folder: Path | None = None, *, owner: int | None = None) -> None:
        self._program = program("rabbitmq-server", _inner_folders())
        program("erl_call")
        super().__init__(folder, owner=owner)
        self.node = Node(self.port, free_port(), secrets.token_hex(16))
        self._names = free_port()
        self._starts = 0
        self.url = self.node.url()

    def start(self) -> Self:
        """Start it, again perhaps; returns when it answers."""
        self._starts += not self.running
        return super().start()

    def renew(self) -> None:
        """Make it as if nothing had ever been done to it; ``url`` is of another empty virtual host then.

        One that came back from a kill begins anew: to delete its queues while they find their leaders brings its
        dead-lettering down (issue 16652 of rabbitmq-server), and then it can declare none.
        """
        if self._starts > 1 or not self.running:
            self._begin_anew()
        else:
            self.resume()
            self.alarm(False)
            if self.url != self.node.url():
                self.node.drop_host(self.url)
        self.url = self.node.new_host()

    def _begin_anew(self) -> None:
        if self.running:
            self.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        self._starts = 0
        self.start()

    def settle(self) -> None:
        """Make it write down now which quorum queues it has.

        RabbitMQ does that half a second after they are declared; one that is killed before comes back without its
        leader, and what it holds is lost, confirmed or not. Who declares queues and then kills it calls this between.
        """
        self.node.evaluate("[ok = dets:sync(Table) || Table <- dets:all()].")

    def alarm(self, on: bool) -> None:
        """Begin or end the memory alarm, which blocks all publishers; returns when it has begun or ended."""
        self.node.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({0.0 if on else 0.4}).")
        until(lambda: (self.node.evaluate("rabbit_alarm:get_alarms().") != "[]") == on, f"the alarm is {on}")

    def _command(self) -> list[str]:
        (self.folder / "rabbitmq.conf").write_text(CONFIG.format(port=self.port, host=FIRST))
        (self.folder / "plugins").write_text("[].")
        (self.folder / "env").touch()
        cookie = self.folder / ".erlang.cookie"
        cookie.unlink(missing_ok=True)
        cookie.write_text(self.node.cookie)
        cookie.chmod(0o400)
        return [str(self._program)]

    def _environment(self) -> dict[str, str]:
        of_rabbitmq = {
            "NODENAME": "fms@localhost",
            "DIST_PORT": str(self.node.orders),
            "CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "CONF_ENV_FILE": str(self.folder / "env"),
            "ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "MNESIA_BASE": str(self.folder / "data"),
            "LOG_BASE": str(self.folder),
            "PID_FILE": str(self.folder / "pid"),
            "SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        return (
            super()._environment()
            | {f"RABBITMQ_{name}": value for name, value in of_rabbitmq.items()}
            | {
                "ERL_EPMD_PORT": str(self._names),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "ERL_CRASH_DUMP": "/dev/null",
                # Then its script becomes the server, instead of waiting for it.
                "RUNNING_UNDER_SYSTEMD": "true",
            }
        )

    def _answers(self) -> bool:
        try:
            # A client that is refused complains in the log.
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            pika.BlockingConnection(pika.URLParameters(self.node.url())).close()
        except (OSError, AMQPError):
            return False
        return True


def _inner_folders() -> list[Path]:
    """Where the package has the scripts that use the folders they are told; those on PATH use the system's."""
    return sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"), reverse=True)
