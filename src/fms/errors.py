"""The ways to fail, named after what must happen next.

Adapters translate the errors of their libraries into these at the border (``raise … from``).
"""


class FmsError(Exception):
    """Root of every error that fms raises on purpose; its text is one line for a person."""


class Invalid(FmsError):  # noqa: N818  # named after the outcome, as the others
    """The input breaks a rule and will break it again: set it aside, go on with the rest."""


class Transient(FmsError):  # noqa: N818
    """A service did not answer or a guard was lost to somebody else: the same call may succeed later."""


class Disconnected(Transient):
    """The connection to the broker is lost, and with it every delivery that it brought: they come again."""


class Fatal(FmsError):  # noqa: N818
    """Nothing can go on until a person acts: stop the process."""


class NotFound(FmsError):  # noqa: N818
    """What was asked for by name or id is not there."""
