"""The rejects file: what was set aside, one JSON object a line."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fms.errors import Invalid
from fms.model.document import Reject


@contextmanager
def rejects_file(path: Path) -> Iterator[Callable[[Reject], None]]:
    """Write rejects to a new file, as objects of ``file``, ``line``, ``reason`` and ``raw``; for ``on_reject``.

    Raises Invalid if the file cannot be opened.
    """
    try:
        out = path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from None
    with out:
        yield lambda reject: print(reject_line(reject), file=out)


def reject_line(reject: Reject) -> str:
    """One reject as a line of the rejects file."""
    document = {"file": reject.source, "line": reject.number, "reason": reject.reason, "raw": reject.raw}
    return json.dumps(document, ensure_ascii=False)
