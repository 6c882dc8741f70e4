"""Format strings of Envoy (`%REQ(x-user)%-%PROTOCOL%`) as templates of APISIX (`${http_x_user}-${server_protocol}`).

A format is parsed into pieces first, because what a piece means depends on where it stands: a header may have been
removed by an earlier mutation (translators.headers). Rendering writes a template for `core.utils.resolve_var`, in which
a literal `$` must be written `${_ ?? $}` and a `$` behind a backslash is never looked at (mapping.md sections 3, 6.3,
14.7).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Side = Literal["request", "response"]
DOLLAR = "${_ ?? $}"
NOTHING = "${_}"
"""Expands to nothing; keeps a value from ending in a character that a plugin's schema refuses there."""
RESOLVED = "${_ ?? -}"
"""A constant to which plugins that pass over templates without a variable say that one was found."""

_COMMAND = re.compile(r"%([A-Z][A-Z0-9_]*)(?:\(([^)]*)\))?(?::(\d+))?%")
_HEADER_NAME = re.compile(r"[a-z0-9_.-]+\Z")
_UNESCAPED_DOLLAR = re.compile(r"(?<!\\)\$")


class FormatError(ValueError):
    """The format has no template; the message names the operator."""


class Text(NamedTuple):
    """Literal text."""

    text: str


class Variable(NamedTuple):
    """A variable of nginx or APISIX.

    Attributes:
        name: without `$`.
        may_be_empty: on some requests it expands to nothing.
    """

    name: str
    may_be_empty: bool = False


class HeaderReference(NamedTuple):
    """A header of the request or response, lower-case.

    Attributes:
        name: of the header.
        side: whose header.
    """

    name: str
    side: Side

    def variable(self) -> Variable:
        """Give the variable that holds the header."""
        prefix = "http_" if self.side == "request" else "sent_http_"
        return Variable(prefix + self.name.replace("-", "_"), may_be_empty=True)


Piece: TypeAlias = Text | Variable | HeaderReference

_ANY_SIDE: dict[str, Variable] = {
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": Variable("realip_remote_addr"),
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": Variable("remote_addr"),
    "DOWNSTREAM_REMOTE_PORT": Variable("remote_port"),
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": Variable("server_addr"),
    "DOWNSTREAM_LOCAL_PORT": Variable("server_port"),
    "PROTOCOL": Variable("server_protocol"),
    "REQUESTED_SERVER_NAME": Variable("ssl_server_name", may_be_empty=True),
    "DOWNSTREAM_TLS_VERSION": Variable("ssl_protocol", may_be_empty=True),
    "DOWNSTREAM_TLS_CIPHER": Variable("ssl_cipher", may_be_empty=True),
    "DOWNSTREAM_PEER_SUBJECT": Variable("ssl_client_s_dn", may_be_empty=True),
    "DOWNSTREAM_PEER_ISSUER": Variable("ssl_client_i_dn", may_be_empty=True),
    "DOWNSTREAM_PEER_SERIAL": Variable("ssl_client_serial", may_be_empty=True),
    "DOWNSTREAM_PEER_CERT": Variable("ssl_client_escaped_cert", may_be_empty=True),
    "HOSTNAME": Variable("hostname"),
    "START_TIME": Variable("time_iso8601"),
    "BYTES_RECEIVED": Variable("request_length"),
    "STREAM_ID": Variable("request_id"),
    "UNIQUE_ID": Variable("request_id"),
}
_RESPONSE_ONLY: dict[str, Variable] = {
    "RESPONSE_CODE": Variable("status"),
    "UPSTREAM_HOST": Variable("upstream_addr", may_be_empty=True),
    "UPSTREAM_REMOTE_ADDRESS": Variable("upstream_addr", may_be_empty=True),
    "DURATION": Variable("request_time"),
    "BYTES_SENT": Variable("body_bytes_sent"),
}
_ADDRESSES = {
    "DOWNSTREAM_REMOTE_ADDRESS": ("remote_addr", "remote_port"),
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": ("realip_remote_addr", "realip_remote_port"),
    "DOWNSTREAM_LOCAL_ADDRESS": ("server_addr", "server_port"),
}
_START_TIME_FORMATS = {"": "time_iso8601", "%s.%3f": "msec"}
_PSEUDO_HEADERS = {
    ":authority": "http_host",
    "host": "http_host",
    ":path": "real_request_uri",
    "x-envoy-original-path": "real_request_uri",
    ":method": "request_method",
    ":scheme": "scheme",
}
_REWRITTEN = {":authority": "upstream_host", "host": "upstream_host", ":path": "upstream_uri"}
"""What these have become when the response comes back (mapping.md section 14.5)."""


def parse(format_string: str, side: Side, constants: dict[str, str] | None = None) -> tuple[Piece, ...]:
    """Parse a format string.

    Args:
        format_string: as in HeaderValue.value.
        side: whether the value goes into the request or the response.
        constants: operators whose value is known, e.g. {"ROUTE_NAME": "canary"}.

    Raises:
        FormatError: an operator has no variable, or the format is none.
    """
    if "%" not in format_string:
        return (Text(format_string),) if format_string else ()
    pieces: list[Piece] = []
    at = 0
    while at < len(format_string):
        percent = format_string.find("%", at)
        if percent < 0:
            pieces.append(Text(format_string[at:]))
            break
        if percent > at:
            pieces.append(Text(format_string[at:percent]))
        if format_string.startswith("%%", percent):
            pieces.append(Text("%"))
            at = percent + 2
            continue
        found = _COMMAND.match(format_string, percent)
        if found is None:
            raise FormatError(f"no operator at {percent} in {format_string}")
        pieces.extend(_pieces_of(found[1], found[2] or "", side, constants or {}))
        at = found.end()
    return tuple(_merged(pieces))


def _pieces_of(operator: str, argument: str, side: Side, constants: dict[str, str]) -> list[Piece]:
    if operator in constants:
        return [Text(constants[operator])] if constants[operator] else []
    if operator == "START_TIME" and argument in _START_TIME_FORMATS:
        return [Variable(_START_TIME_FORMATS[argument])]
    if operator in ("REQ", "REQUEST_HEADER", "RESP", "RESPONSE_HEADER"):
        return [_header(argument.lower(), "request" if operator.startswith("REQ") else "response", side)]
    if operator in _ADDRESSES and not argument:
        address, port = _ADDRESSES[operator]
        return [Variable(address), Text(":"), Variable(port)]
    found = _ANY_SIDE.get(operator) or (_RESPONSE_ONLY.get(operator) if side == "response" else None)
    if found is None or argument:
        raise FormatError(f"%{operator}% has no variable in a {side}")
    return [found]


def _header(argument: str, whose: Side, side: Side) -> Piece:
    name, _, alternative = argument.partition("?")
    if name == "x-envoy-original-path" and alternative == ":path":
        alternative = ""
    if alternative or (whose == "response" and side == "request"):
        raise FormatError(f"%{'REQ' if whose == 'request' else 'RESP'}({argument})% has no variable in a {side}")
    if whose == "request" and name in _PSEUDO_HEADERS:
        rewritten = _REWRITTEN.get(name) if side == "response" else None
        return Variable(rewritten or _PSEUDO_HEADERS[name])
    if not _HEADER_NAME.match(name):
        raise FormatError(f"%REQ({argument})%: no variable holds this header")
    return HeaderReference(name, whose)


def _merged(pieces: list[Piece]) -> list[Piece]:
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if isinstance(piece, Text) and isinstance(last, Text):
            merged[-1] = Text(last.text + piece.text)
        else:
            merged.append(piece)
    return merged


def escape_text(text: str) -> str:
    """Write literal text in a template; a `$` behind a backslash is literal already (mapping.md section 14.7)."""
    return _UNESCAPED_DOLLAR.sub(lambda _: DOLLAR, text)


def render(pieces: Iterable[Piece]) -> str:
    """Write pieces as a template.

    Raises:
        FormatError: a variable stands behind a backslash, which would make it literal.
    """
    written = ""
    for piece in pieces:
        if isinstance(piece, Text):
            written += escape_text(piece.text)
            continue
        variable = piece.variable() if isinstance(piece, HeaderReference) else piece
        if written.endswith("\\"):
            raise FormatError(f"${variable.name} behind a backslash would be literal")
        written += f"${{{variable.name}}}"
    return written


def may_be_empty(pieces: Iterable[Piece]) -> bool:
    """Tell whether the template expands to nothing on some requests."""
    return all(
        not piece.text if isinstance(piece, Text) else isinstance(piece, HeaderReference) or piece.may_be_empty
        for piece in pieces
    )


def text_of(pieces: tuple[Piece, ...]) -> str | None:
    """Give the text when there are no variables; None when there are."""
    if any(not isinstance(piece, Text) for piece in pieces):
        return None
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))
