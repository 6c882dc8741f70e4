"""Every HTTP filter this build knows has a row, and every field of the connection manager (law 8)."""

from __future__ import annotations

from importlib.resources import files

from google.protobuf import descriptor_pb2

from schemas import xds
from translators.registry import find
from translators.registry.row import Diagnosed

PACKAGE = "envoy.extensions.filters.http."
RESTRICTING = (
    "basic_auth.v3.BasicAuth",
    "oauth2.v3.OAuth2",
    "lua.v3.Lua",
    "wasm.v3.Wasm",
    "ext_proc.v3.ExternalProcessor",
    "dynamic_modules.v3.DynamicModuleFilter",
)


def test_every_field_of_the_connection_manager_has_a_row():
    fields = [field.full_name for field in xds.message_class(xds.HTTP_CONNECTION_MANAGER).DESCRIPTOR.fields]
    assert [field for field in fields if find(field) is None] == []


def test_every_filter_has_a_row():
    known = descriptor_pb2.FileDescriptorSet.FromString((files("schemas") / "xds.binpb").read_bytes())
    messages: dict[str, list[str]] = {}
    for file in known.file:
        if file.package.startswith(PACKAGE):
            messages.setdefault(file.package, []).extend(message.name for message in file.message_type)
    assert len(messages) > 50
    for package, names in messages.items():
        assert any(find(f"{package}.{name}") for name in names), f"{package}: what becomes of its filter?"


def test_filters_that_restrict_are_rows_that_restrict():
    for name in RESTRICTING:
        row = find(PACKAGE + name)
        assert isinstance(row, Diagnosed)
        assert row.restricts, name
