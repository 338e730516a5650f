"""One JSON line read by itself: its fields, or why it is no document."""

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from fms.model.document import FLIGHT_FIELDS, INT_FIELDS, TEXT_FIELDS

_INT64 = 1 << 63
_BLANKS = b" \t\r"

Deep = Callable[[bytes], dict[str, Any] | None]
"""Reads a line that is nested too deep to be read here."""


def read_line(line: bytes, deep: Deep) -> dict[str, Any] | str | None:
    """The fields of the document in a line, the reason why it is none, or None for a blank line."""
    if not line.strip(_BLANKS):
        return None
    try:
        document = _DECODER.decode(line.decode())
    except UnicodeDecodeError:
        return "not_utf8"
    except RecursionError:
        return deep(line) or "not_json"
    except _BadNumberError:
        return "bad_number"
    except ValueError:
        return "not_json"
    return _typed(document) if isinstance(document, dict) else "not_an_object"


def fields_of(document: dict[str, Any]) -> set[str]:
    """The fields that a document gives."""
    return {name for name, value in document.items() if value is not None}


class _BadNumberError(Exception):
    pass


def _refused(_text: str) -> NoReturn:
    raise _BadNumberError


def _float(text: str) -> float:
    # Arrow refuses large exponents too, and likewise lets a number pass that is only long.
    value = float(text)
    return value if math.isfinite(value) or "e" not in text.lower() else _refused(text)


def _int(text: str) -> int:
    # Python refuses to read thousands of digits; whatever they say, it is out of every range.
    return int(text) if len(text) < 300 else -_INT64 if text.startswith("-") else _INT64


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=_refused)


def _typed(document: dict[str, Any]) -> dict[str, Any] | str:
    found: dict[str, Any] = {}
    for name, value in document.items():
        check = _CHECKS.get(name)
        if check is None or value is None:
            continue
        typed = check(value)
        if typed is None:
            return "wrong_type"
        found[name] = typed
    return found if _encodable(found) else "not_utf8"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    """An integer, held within 64 bits: all that is beyond is out of every range."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return max(-_INT64, min(_INT64 - 1, value))


def _texts(value: object) -> list[str | None] | None:
    if not isinstance(value, list) or not all(one is None or isinstance(one, str) for one in value):
        return None
    return value


_CHECKS: dict[str, Callable[[object], Any]] = (
    dict.fromkeys(TEXT_FIELDS, _text) | dict.fromkeys(INT_FIELDS, _integer) | dict.fromkeys(FLIGHT_FIELDS, _texts)
)


def _encodable(found: dict[str, Any]) -> bool:
    """Whether no text has half a surrogate pair, which JSON can write and UTF-8 cannot."""
    try:
        for value in found.values():
            for text in value if isinstance(value, list) else (value,):
                if isinstance(text, str):
                    text.encode()
    except UnicodeEncodeError:
        return False
    return True
