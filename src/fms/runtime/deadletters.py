"""What becomes of a message that no repeat can mend: it goes to the dead letters of its kind, with the reason."""

from fms.errors import Fatal
from fms.model.clock import Clock
from fms.ports import Broker, Delivery, Headers
from fms.queues.admin import BURIED_AT, CAME_FROM, REASON
from fms.queues.topology import dead_letters_of

LONGEST_REASON = 500


class DeadLetters:
    """Buries messages of one kind, up to a limit: whoever would throw a whole queue away had better stop.

    Attributes:
        count: how many were buried by this process.
    """

    def __init__(self, broker: Broker, kind: str, limit: int, clock: Clock) -> None:
        self._broker = broker
        self._queue = dead_letters_of(kind)
        self._limit = limit
        self._clock = clock
        self.count = 0

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Publish the message as a dead letter, then acknowledge it.

        Raises Fatal once the limit is reached, with the message left where it is; Transient as the broker does.
        """
        if self.count >= self._limit:
            raise Fatal(
                f"dead letters so far: {self.count}, all that dead_letter_limit allows. {delivery.queue} has another,"
                f" which stays there with the rest: {reason}. fms queues retry gives dead letters another try"
            )
        more: Headers = {REASON: reason[:LONGEST_REASON], CAME_FROM: delivery.queue, BURIED_AT: self._clock()}
        self._broker.publish(self._queue, delivery.body, {**delivery.headers, **more})
        self._broker.acknowledge(delivery)
        self.count += 1
