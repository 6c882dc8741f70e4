"""TLS between a socket and the protocol that speaks on it, over OpenSSL's memory buffers.

Not the event loop's own: each connection takes the context of its time, so that certificates and authorities change
under open connections; bytes that are not TLS get an answer; and an idle connection holds no read buffer.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from agent.wire import response
from agent.wire.response import TLS_HANDSHAKE, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.wire.certificate import TLSContext

MAX_HANDSHAKE_S = 10.0
"""A connection that has not said who it is by then is closed."""
MAX_READ_BYTES = 64 << 10
_NOT_TLS = text(400, "400 Bad Request: this port speaks TLS: use https://\n")


class TLSConnection(asyncio.Protocol):
    """One accepted connection, as the socket sees it.

    Args:
        context: of which the newest is taken when the client begins.
        make: makes the protocol that gets the plain bytes; after the handshake it is used as on a plain socket.

    Attributes:
        socket: the transport below.
        protocol: what `make` has made, from the handshake to the end of the connection.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_deadline",
        "_incoming",
        "_is_decrypting",
        "_is_paused",
        "_make",
        "_outgoing",
        "_tls",
        "protocol",
        "socket",
    )

    def __init__(self, context: TLSContext, make: Callable[[], asyncio.Protocol]) -> None:
        self._context = context
        self._make = make
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._is_decrypting = self._is_paused = False
        self._deadline: asyncio.TimerHandle | None = None
        self.protocol: asyncio.BaseProtocol | None = None
        self.socket: asyncio.Transport

    # The socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client to begin, but not for ever."""
        self.socket = cast("asyncio.Transport", transport)  # uvloop's transports are of no asyncio class
        self._deadline = asyncio.get_running_loop().call_later(MAX_HANDSHAKE_S, self.socket.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol."""
        self._forget_deadline()
        protocol, self.protocol, self._tls = self.protocol, None, None
        if protocol is not None:
            protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read."""
        if self.protocol is not None:
            self.protocol.pause_writing()

    def resume_writing(self) -> None:
        """The client has read."""
        if self.protocol is not None:
            self.protocol.resume_writing()

    def eof_received(self) -> None:
        """The client has ended: TLS knows no half-open connection."""

    def data_received(self, data: bytes) -> None:
        """Take bytes off the socket."""
        if self.socket.is_closing():
            return
        if self._tls is None:
            if data[:1] != TLS_HANDSHAKE:
                self._refuse_plain()
                return
            self._tls = self._context.current.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(data)
        if self.protocol is not None or self._is_shaken(self._tls):
            self._decrypt()

    # TLS

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS of the connection; None before it has begun."""
        return self._tls

    def _is_shaken(self, tls: ssl.SSLObject) -> bool:
        """Go on with the handshake; True once it is done."""
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._flush()  # the alert
            self._fail(getattr(error, "verify_message", "") or error.reason or "unknown")
            return False
        self._flush()
        self._forget_deadline()
        protocol = self.protocol = self._make()
        protocol.connection_made(TLSTransport(self))
        return True

    def _refuse_plain(self) -> None:
        self.socket.writelines((response.head(_NOT_TLS, is_keep_alive=False), _NOT_TLS.body))
        self._fail("the client does not speak TLS")

    def _fail(self, reason: str) -> None:
        now_s = asyncio.get_running_loop().time()
        self._context.note_failure(self.socket.get_extra_info("peername"), reason, now_s)
        self.socket.close()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.socket.write(self._outgoing.read())

    def _decrypt(self) -> None:
        """Give the protocol what has arrived, as long as it wants it."""
        if self._is_decrypting or self._tls is None:
            return
        self._is_decrypting = True
        try:
            while self._wants_data() and (data := self._tls.read(MAX_READ_BYTES)):
                cast("asyncio.Protocol", self.protocol).data_received(data)
            if self._wants_data():
                self.close()  # the client has said that it ends
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            self.socket.abort()
        finally:
            self._is_decrypting = False

    def _wants_data(self) -> bool:
        return not (self._is_paused or self.socket.is_closing())

    # The protocol

    def pause_reading(self) -> None:
        """Give the protocol nothing more."""
        self._is_paused = True
        self.socket.pause_reading()

    def resume_reading(self) -> None:
        """Give the protocol what waits, but not while it asks for it."""
        if self._is_paused:
            self._is_paused = False
            self.socket.resume_reading()
            asyncio.get_running_loop().call_soon(self._decrypt)

    def encrypt(self, data: bytes | bytearray | memoryview) -> None:
        """Send to the client; nothing goes out on a connection that closes."""
        if self._tls is None or self.socket.is_closing():
            return
        left = memoryview(data)
        try:
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError:
            self.socket.abort()
        else:
            self._flush()

    def close(self) -> None:
        """Say that we end, and close once everything is sent."""
        if self._tls is None or self.socket.is_closing():
            return
        with suppress(ssl.SSLError):  # it wants the client's word too, which nobody waits for
            self._tls.unwrap()
        self._flush()
        self.socket.close()


class TLSTransport(asyncio.Transport):
    """The connection, as the protocol above sees it.

    Args:
        connection: the same from below.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: TLSConnection) -> None:
        super().__init__()
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        self._connection.encrypt(data)

    def close(self) -> None:
        """End in good order."""
        self._connection.close()

    def abort(self) -> None:
        """End at once."""
        self._connection.socket.abort()

    def is_closing(self) -> bool:
        """Tell whether the end has begun."""
        return self._connection.socket.is_closing()

    def pause_reading(self) -> None:
        """Take nothing more from the client."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Take from the client again."""
        self._connection.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is told that the client does not read; encrypted bytes count."""
        self._connection.socket.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Give how many encrypted bytes wait."""
        return self._connection.socket.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what the socket knows, and the TLS around it."""
        if name == "ssl_object":
            return self._connection.tls
        return self._connection.socket.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the protocol above."""
        return cast("asyncio.BaseProtocol", self._connection.protocol)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol go on."""
        self._connection.protocol = protocol
