"""An HTTP/2 server on asyncio and h2 that misbehaves as it is told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from fms.testing.script import Fault, Received, Reply

_CODES = {Fault.REFUSE: ErrorCodes.REFUSED_STREAM, Fault.RESET: ErrorCodes.INTERNAL_ERROR}


@dataclass(slots=True)
class _Incoming:
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        number: of this connection.
        streams: that the client may have open at once, as the SETTINGS say.
        answer: told each request that came whole, gives what to do about it.
        open_ones: of which it is one while it is open.
    """

    def __init__(
        self, number: int, streams: int, answer: Callable[[Received], Reply], open_ones: set["Connection"]
    ) -> None:
        self._open_ones = open_ones
        self._number = number
        self._answer = answer
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._streams = streams
        self._incoming: dict[int, _Incoming] = {}
        self._outgoing: dict[int, bytes] = {}
        self._last = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is there: say the settings."""
        self._transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)
        self._h2.initiate_connection()
        self.allow(self._streams)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Nobody is there any more: what is to be answered later is not."""
        self._transport = None
        self._open_ones.discard(self)

    def allow(self, streams: int) -> None:
        """Say how many streams may be open at once from now on."""
        self._streams = streams
        # h2 ends the connection of a client that opens more once it has acknowledged this.
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self._flush()

    def abort(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._flush()
            self._end()
            return
        for event in events:
            self._handle(event)
        self._flush()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream), headers=list(headers)):
                self._open(stream, {str(name): str(value) for name, value in headers})
            case DataReceived(stream_id=int(stream), data=bytes(data), flow_controlled_length=int(length)):
                if stream in self._incoming:
                    self._incoming[stream].body += data
                self._h2.acknowledge_received_data(length, stream)
            case StreamEnded(stream_id=int(stream)) if stream in self._incoming:
                self._whole(stream)
            case StreamReset(stream_id=int(stream)):
                self._incoming.pop(stream, None)
                self._outgoing.pop(stream, None)
            case WindowUpdated():
                for stream in list(self._outgoing):
                    self._push(stream)
            case ConnectionTerminated():
                self._end()
            case _:
                pass

    def _open(self, stream: int, headers: dict[str, str]) -> None:
        # The client may not have heard yet how many it may have: those that are too many are refused.
        if self._h2.open_inbound_streams > self._streams:
            self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
        else:
            self._incoming[stream] = _Incoming(headers)

    def _whole(self, stream: int) -> None:
        incoming = self._incoming.pop(stream)
        path = incoming.headers[":path"]
        reply = self._answer(Received(path, incoming.headers, bytes(incoming.body), self._number, stream))
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._late, stream, reply)
        else:
            self._do(stream, reply)

    def _late(self, stream: int, reply: Reply) -> None:
        if self._transport is not None:
            self._do(stream, reply)
            self._flush()

    def _do(self, stream: int, reply: Reply) -> None:
        try:
            self._fail(stream, reply) if reply.fault else self._send(stream, reply)
        except ProtocolError:
            # The client gave the stream up, or the connection is past its GOAWAY.
            self._outgoing.pop(stream, None)

    def _fail(self, stream: int, reply: Reply) -> None:
        match reply.fault:
            case Fault.REFUSE | Fault.RESET as fault:
                self._h2.reset_stream(stream, _CODES[fault])
            case Fault.GOAWAY_BEFORE:
                self._go_away(self._last)
            case Fault.GOAWAY_AFTER:
                self._go_away(stream)
                self._send(stream, reply)
            case Fault.CUT | Fault.HANG as fault:
                self._h2.send_headers(stream, self._head(reply))
                self._h2.send_data(stream, reply.body[: len(reply.body) // 2])
                if fault is Fault.CUT:
                    self._end()
            case Fault.CLOSE:
                self._end()
            case Fault.ABORT:
                self.abort()
            case _:
                pass

    def _go_away(self, last: int) -> None:
        """Write a GOAWAY without telling h2, which would take no more from a connection that is on its way out."""
        frame = b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4) + int(ErrorCodes.NO_ERROR).to_bytes(4)
        if self._transport is not None:
            self._transport.write(self._h2.data_to_send() + frame)

    def _send(self, stream: int, reply: Reply) -> None:
        self._last = max(self._last, stream)
        self._h2.send_headers(stream, self._head(reply), end_stream=not reply.body)
        if reply.body:
            self._outgoing[stream] = reply.body
            self._push(stream)

    @staticmethod
    def _head(reply: Reply) -> list[tuple[str, str]]:
        return [(":status", str(reply.status)), *((name.lower(), value) for name, value in reply.headers.items())]

    def _push(self, stream: int) -> None:
        """Send as much of a body as the client's windows take."""
        body = self._outgoing[stream]
        while body and (room := min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)) > 0:
            self._h2.send_data(stream, body[:room], end_stream=len(body) <= room)
            body = body[room:]
        if body:
            self._outgoing[stream] = body
        else:
            del self._outgoing[stream]

    def _flush(self) -> None:
        if self._transport is not None and (data := self._h2.data_to_send()):
            self._transport.write(data)

    def _end(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()
