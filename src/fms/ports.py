"""What the stages ask of the world outside. Each port has one behaviour suite in ``tests/contracts``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from fms.model.batch import Batch
from fms.model.fare import FareBatch

if TYPE_CHECKING:
    from fms.model.alert import Alert
    from fms.model.notification import Message
In = TypeVar("In", bound=Batch, contravariant=True)
Out = TypeVar("Out", bound=Batch, covariant=True)
