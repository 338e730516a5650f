"""Reading ahead: ingest in a process of its own, so that a large file is read on one core and matched on another."""

import fcntl
import signal
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from fms.errors import Fatal, FmsError
from fms.model.batch import read_batches, write_batches
from fms.model.document import Source
from fms.model.fare import FareBatch
from fms.runlock import let_go_after_fork
from fms.stages.ingest import Ingest

PIPE_BYTES = 1 << 20
"""How far the child may be ahead: some ten batches. Linux grants no more to ordinary users."""

_BATCH, _REJECT, _PROGRESS, _END = range(4)


def batches_ahead(ingest: Ingest, source: Source) -> Iterator[FareBatch]:
    """What ``ingest.batches(source)`` answers, made by a child process that is at most a pipe's length ahead.

    Counts, rejects and progress of ``ingest`` go on as if it had worked here. Raises what it raises, and Fatal if
    the child dies. The child ends with this generator, and with this process however that ends.
    """
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    _widen(here)
    child = context.Process(target=_read, args=(ingest, source, here, there), daemon=True)
    child.start()
    there.close()
    try:
        yield from _received(ingest, here)
    finally:
        here.close()
        child.terminate()
        child.join()


def _widen(pipe: Connection) -> None:
    # The child reads block by block and then has many batches at once: let it go on while they wait.
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _received(ingest: Ingest, here: Connection) -> Iterator[FareBatch]:
    while True:
        try:
            kind, what = here.recv()
        except EOFError:
            raise Fatal("the process that reads ahead died; run the same command again") from None
        if kind == _BATCH:
            yield from read_batches(BytesIO(what), FareBatch)
        elif kind == _REJECT and ingest.on_reject:
            ingest.on_reject(what)
        elif kind == _PROGRESS and ingest.on_progress:
            ingest.on_progress(*what)
        elif kind == _END:
            ingest.counts, error = what
            if error is not None:
                raise error
            return


def _read(ingest: Ingest, source: Source, here: Connection, there: Connection) -> None:
    """The child: a copy of the parent from the moment of the fork."""
    # While this copy of the other end is open, nobody would notice that the parent has died.
    here.close()
    let_go_after_fork()
    # Ctrl-C goes to every process of a terminal; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def send(kind: int, what: Any) -> None:
        there.send((kind, what))

    ingest.on_reject = (lambda reject: send(_REJECT, reject)) if ingest.on_reject else None
    ingest.on_progress = (lambda *progress: send(_PROGRESS, progress)) if ingest.on_progress else None
    try:
        for batch in ingest.batches(source):
            packed = BytesIO()
            write_batches(packed, FareBatch, [batch])
            send(_BATCH, packed.getvalue())
        send(_END, (ingest.counts, None))
    except BrokenPipeError:
        return
    except (FmsError, OSError) as error:
        send(_END, (ingest.counts, error))
