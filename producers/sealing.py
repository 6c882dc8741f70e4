"""Which fields of a message are sealed: those that the protos mark as sensitive (architecture.md law 9).

The walk follows the descriptors and looks into every Any, so a filter that gains a password field needs no code here.
Key sets that verify tokens are public and stay readable, unless they hold a secret key.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from producers.traversal import ANY, children
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import FieldDescriptor

    Seal: TypeAlias = Callable[[bytes], str]

DATA_SOURCES = frozenset({"envoy.config.core.v3.DataSource", "envoy.api.v2.core.DataSource"})
TOKEN = re.compile(rb"mfseal1\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{1,}")
"""A sealed value, as pipeline/seal.py writes it."""
PUBLIC_FIELDS = {"envoy.extensions.filters.http.api_key_auth.v3.Credential": frozenset({"client"})}
"""Names inside messages that are sensitive as a whole."""
JWT_PROVIDER = "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider"
SECRET_MEMBERS = frozenset({"k", "d", "p", "q", "dp", "dq", "qi", "oth"})
"""Members of a JSON Web Key that are the key of a MAC or a part of a private key (RFC 7518, section 6)."""


def seal_message(message: xds.Message, seal: Seal) -> None:
    """Replace every sensitive value in a message by its token, in place, at any depth and inside Any.

    Args:
        message: any xDS message.
        seal: turns a plaintext into a token; called for no value that is a token already.
    """
    if message.DESCRIPTOR.full_name == ANY:
        inner = xds.unpack(message)
        if inner is not None:
            seal_message(inner, seal)
            message.value = inner.SerializeToString(deterministic=True)
        return
    if message.DESCRIPTOR.full_name == JWT_PROVIDER and _has_secret_key(message.local_jwks):
        _seal_data_source(message.local_jwks, seal)
    sensitive = xds.sensitive_fields(message.DESCRIPTOR.full_name)
    for field, value in message.ListFields():
        if field.name in sensitive:
            _seal_field(message, field, value, seal)
    for child in children(message):
        if child.DESCRIPTOR.full_name not in DATA_SOURCES and _may_be_sensitive(child.DESCRIPTOR.full_name):
            seal_message(child, seal)


def _seal_field(message: xds.Message, field: FieldDescriptor, value: Any, seal: Seal) -> None:
    if xds.is_map(field):
        for key in value:
            if hasattr(value[key], "DESCRIPTOR"):
                _seal_inside(value[key], seal)
            else:
                value[key] = _token(value[key], seal)
    elif field.message_type is not None:
        for item in value if field.is_repeated else (value,):
            _seal_inside(item, seal)
    elif field.is_repeated:
        value[:] = [_token(item, seal) for item in value]
    else:
        setattr(message, field.name, _token(value, seal))


def _seal_inside(message: xds.Message, seal: Seal) -> None:
    """Seal a message that is sensitive as a whole."""
    if message.DESCRIPTOR.full_name in DATA_SOURCES:
        _seal_data_source(message, seal)
        return
    if message.DESCRIPTOR.full_name == ANY:
        inner = xds.unpack(message)
        if inner is not None:
            _seal_inside(inner, seal)
            message.value = inner.SerializeToString(deterministic=True)
        return
    public = PUBLIC_FIELDS.get(message.DESCRIPTOR.full_name, frozenset())
    for field, value in message.ListFields():
        if field.name in public:
            continue
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES) or field.message_type is not None:
            _seal_field(message, field, value, seal)


def _seal_data_source(source: xds.Message, seal: Seal) -> None:
    """Seal what is inline; a file name or a variable's name is a place, not a secret."""
    specifier = source.WhichOneof("specifier")
    if specifier == "inline_bytes":
        source.inline_string = _token(source.inline_bytes, seal, kind=str)
    elif specifier == "inline_string":
        source.inline_string = _token(source.inline_string, seal)


def _has_secret_key(source: xds.Message) -> bool:
    """Tell whether a key set holds more than public keys; one that cannot be read counts as one that does."""
    specifier = source.WhichOneof("specifier")
    if specifier not in ("inline_bytes", "inline_string"):
        return False
    try:
        keys = orjson.loads(getattr(source, specifier))["keys"]
        return any(not SECRET_MEMBERS.isdisjoint(key) for key in keys)
    except (ValueError, KeyError, TypeError):
        return True


def _token(value: Any, seal: Seal, kind: type | None = None) -> Any:
    plaintext = value.encode() if isinstance(value, str) else bytes(value)
    token = plaintext.decode() if TOKEN.fullmatch(plaintext) else seal(plaintext)
    return token if (kind or type(value)) is str else token.encode()


@cache
def _may_be_sensitive(full_name: str) -> bool:
    """Tell whether a message of this type can hold a sensitive field or an Any, at any depth."""
    seen: set[str] = set()
    waiting = [xds.message_class(full_name).DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name == ANY or xds.sensitive_fields(descriptor.full_name):
            return True
        if descriptor.full_name not in seen:
            seen.add(descriptor.full_name)
            waiting.extend(field.message_type for field in descriptor.fields if field.message_type is not None)
    return False
