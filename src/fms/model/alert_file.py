"""Alert files: one JSON object per line, blank lines allowed."""

import json
from pathlib import Path

from fms.errors import Invalid
from fms.model.alert_document import AlertDocument, parse_alert


def read_alert_file(path: Path) -> list[tuple[str, AlertDocument]]:
    """The alerts of a file, each with its place (``file: line 3``). Raises Invalid with place and field."""
    try:
        return read_alert_lines(str(path), path.read_bytes())
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from None


def read_alert_lines(path: str, content: bytes) -> list[tuple[str, AlertDocument]]:
    """The alerts of a file's content; see ``read_alert_file``."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    places = [(f"{path}: line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    return checked([(place, _object(place, line)) for place, line in places])


def _object(place: str, line: bytes) -> object:
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError):
        raise Invalid(f"{place}: not JSON") from None


def checked(objects: list[tuple[str, object]]) -> list[tuple[str, AlertDocument]]:
    """Objects of an alert file with their places, checked. Raises Invalid; a ``ref`` may stand once."""
    found: list[tuple[str, AlertDocument]] = []
    places: dict[str, str] = {}
    for place, document in objects:
        try:
            wish = parse_alert(document)
        except Invalid as error:
            raise Invalid(f"{place}: {error}") from None
        if wish.ref in places:
            raise Invalid(f"{place}: ref: {wish.ref!r} stands already at {places[wish.ref]}")
        places[wish.ref] = place
        found.append((place, wish))
    return found
