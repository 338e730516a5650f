"""What the schemas of requests have in common."""

from collections.abc import Callable
from typing import Any, TypeVar

from marshmallow import RAISE, Schema, ValidationError, validate

from fms.errors import Invalid

Given = TypeVar("Given")


class Closed(Schema):
    """A request or an answer: a field that it does not know is an error."""

    class Meta:
        """Unknown fields are refused."""

        unknown = RAISE

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.error_messages["unknown"] = "no such field"


class Pattern(validate.Regexp):
    """A text that is matched as a whole by a pattern with ``^`` and ``$``, which JSON Schema understands too.

    To ``re.match`` a line's end after it would be all right.
    """

    def __call__(self, value: Any) -> Any:
        """The value; raises ValidationError."""
        if not self.regex.fullmatch(value):
            raise ValidationError(self._format_error(value))
        return value


def by_rule(rule: Callable[[Given], object]) -> Callable[[Given], None]:
    """A field's validator that says what a rule of the model says."""

    def check(given: Given) -> None:
        try:
            rule(given)
        except Invalid as error:
            raise ValidationError(str(error)) from None

    return check
