"""What the schemas of requests have in common."""

from typing import Any

from marshmallow import RAISE, Schema


class Closed(Schema):
    """A request or an answer: a field that it does not know is an error."""

    class Meta:
        """Unknown fields are refused."""

        unknown = RAISE

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.error_messages["unknown"] = "no such field"
