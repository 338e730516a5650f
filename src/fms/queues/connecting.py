"""How RabbitMQ is reached, and what an error of pika means: again later, or not before somebody acts."""

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPChannelError,
    AMQPConnectionError,
    AMQPError,
    AuthenticationError,
    ChannelClosedByBroker,
    ChannelWrongStateError,
    ConnectionClosedByBroker,
    ConnectionWrongStateError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from fms.errors import Disconnected, Fatal
from fms.model.batch import first_line

HEARTBEAT_SECONDS = 60
BLOCKED_SECONDS = 600
"""How long a broker in need of memory or disk may keep a publisher waiting before the connection is given up."""

CONNECT_SECONDS = 10

LOST = (
    AMQPConnectionError, AMQPChannelError, ChannelWrongStateError, ConnectionWrongStateError, OSError,
    AMQPConnectorException,  # which is no AMQPError: a broker that is frozen accepts connections and says nothing
)  # fmt: skip
"""What pika raises when a connection is not made, or ends."""

_PRECONDITION_FAILED, _NOT_ALLOWED, _ACCESS_REFUSED = 406, 530, 403


def parameters_of(url: str, seconds: float = CONNECT_SECONDS) -> pika.URLParameters:
    """What pika asks for; raises Fatal. ``seconds``: how long to try to connect."""
    if not url.startswith(("amqp://", "amqps://")):
        raise Fatal("broker_url: amqp:// or amqps:// wanted at its beginning")
    try:
        parameters = pika.URLParameters(url)
    except (ValueError, TypeError, AttributeError, IndexError):
        # Its text may quote a piece of the password.
        raise Fatal("broker_url: not a URL, or one of its options is wrong") from None
    parameters.heartbeat = HEARTBEAT_SECONDS
    parameters.blocked_connection_timeout = BLOCKED_SECONDS
    parameters.socket_timeout = parameters.stack_timeout = seconds
    parameters.client_properties = {"connection_name": "fms"}
    return parameters


def meaning(error: Exception, parameters: pika.URLParameters) -> Fatal | Disconnected:
    """The error of ours that stands for one of ``LOST``."""
    where = f"the broker at {parameters.host}:{parameters.port}"
    if isinstance(error, ProbableAuthenticationError | ProbableAccessDeniedError | AuthenticationError):
        return Fatal(f"{where} does not let us in: {first_line(error)}")
    if isinstance(error, ConnectionClosedByBroker | ChannelClosedByBroker):
        act = error.reply_code in (_PRECONDITION_FAILED, _NOT_ALLOWED, _ACCESS_REFUSED) and not _timed_out(error)
        return (Fatal if act else Disconnected)(f"{where}: {error.reply_text}")
    return Disconnected(f"{where} is away: {_cause(error)}")


def _timed_out(error: AMQPError) -> bool:
    # An acknowledgement that came too late closes the channel under the same code as a wrong declaration.
    return "timeout" in str(error).lower()


def _cause(error: BaseException) -> str:
    """What is behind pika's wrappers, in one line."""
    if isinstance(error, AMQPConnectorStackTimeout):
        return "it accepts connections and says nothing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    args = [one for one in error.args if isinstance(one, BaseException)]
    inner = getattr(args[0], "exception", args[0]) if args else None
    if isinstance(inner, BaseException):
        return _cause(inner)
    return first_line(error) if str(error) else type(error).__name__
