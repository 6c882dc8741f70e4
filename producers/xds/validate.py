"""Whether a resource can be taken at all: its name, and the parts that the protos call required.

Light on purpose. What is valid but cannot be translated is the translators' to diagnose; a NACK is for what no client
could use. Unknown fields and unknown Any types never count against a resource (control-planes.md section 5.11): where
a part that is required is missing but the message holds a field this build does not know, that field may be the part.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf import unknown_fields

from producers.xds.interest import same_name
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from google.protobuf.descriptor import FieldDescriptor

ANY = "google.protobuf.Any"
NAME_FIELDS: Mapping[str, str] = {
    xds.CLUSTER: "name",
    xds.CLUSTER_LOAD_ASSIGNMENT: "cluster_name",
    xds.LISTENER: "name",
    xds.ROUTE_CONFIGURATION: "name",
    xds.SCOPED_ROUTE_CONFIGURATION: "name",
    xds.SECRET: "name",
    xds.TYPED_EXTENSION_CONFIG: "name",
    xds.VIRTUAL_HOST: "name",
}
"""Where each type of resource keeps its name."""

EDS = 3  # envoy.config.cluster.v3.Cluster.DiscoveryType

# protoc-gen-validate's options in wire format, since envoy's validate/validate.proto is not in the pool:
# the extension `validate.rules`, and in it FieldRules{message: MessageRules{required: true}}.
_RULES = 1071
_MESSAGE_RULES_TAG = b"\x8a\x01"
_REQUIRED = b"\x10\x01"


class _Shape(NamedTuple):
    """What a message of one type must have, and where it has parts that must have something."""

    required_fields: tuple[str, ...]
    required_oneofs: tuple[str, ...]
    parts: frozenset[int]


def name_of(message: xds.Message) -> str:
    """Give the name of a resource of one of the types in NAME_FIELDS."""
    return str(getattr(message, NAME_FIELDS[xds.type_url_of(message)]))


def fault_of(message: xds.Message, wrapper_name: str = "") -> str:
    """Say why a resource cannot be taken.

    Args:
        message: a parsed resource of one of the types in NAME_FIELDS.
        wrapper_name: the name in the `envoy.service.discovery.v3.Resource` around it, if there was one.

    Returns:
        The reason, one line with a field path and without values; empty when nothing is wrong.
    """
    name = name_of(message)
    if not name:
        return f"{NAME_FIELDS[xds.type_url_of(message)]} is empty"
    if wrapper_name and not _may_be_wrapped_as(message, name, wrapper_name):
        return f"is wrapped as {wrapper_name!r}: the names must be equal"
    check = _CHECKS.get(xds.type_url_of(message))
    return (check(message) if check else "") or next(_faults(message, ""), "")


def _may_be_wrapped_as(message: xds.Message, name: str, wrapper_name: str) -> bool:
    """A virtual host is wrapped as `<route configuration>/<virtual host>`, all else as what it is called."""
    return xds.type_url_of(message) == xds.VIRTUAL_HOST or same_name(name, wrapper_name)


def _check_cluster(cluster: xds.Message) -> str:
    if cluster.type == EDS and not cluster.HasField("eds_cluster_config"):
        return "eds_cluster_config is missing in a cluster of type EDS"
    return ""


def _check_listener(listener: xds.Message) -> str:
    has_place = listener.HasField("address") or listener.HasField("api_listener")
    if has_place or listener.WhichOneof("listener_specifier") or _holds_unknown(listener):
        return ""
    return "address is missing"


def _check_route_configuration(route_configuration: xds.Message) -> str:
    """A domain chooses one virtual host, whatever its case (Envoy's RouteMatcher)."""
    seen: set[str] = set()
    for index, virtual_host in enumerate(route_configuration.virtual_hosts):
        for place, domain in enumerate(virtual_host.domains):
            if domain.lower() in seen:
                return f"virtual_hosts[{index}].domains[{place}] stands twice"
            seen.add(domain.lower())
    return ""


_CHECKS: Mapping[str, Callable[[xds.Message], str]] = {
    xds.CLUSTER: _check_cluster,
    xds.LISTENER: _check_listener,
    xds.ROUTE_CONFIGURATION: _check_route_configuration,
}


def _faults(message: xds.Message, path: str) -> Iterator[str]:
    shape = _shape(message.DESCRIPTOR.full_name)
    missing = [name for name in shape.required_fields if not message.HasField(name)]
    missing += [name for name in shape.required_oneofs if message.WhichOneof(name) is None]
    if missing and not _holds_unknown(message):
        yield f"{path}{missing[0]} is missing"
    for field, value in message.ListFields():
        if field.number in shape.parts:
            for place, part in _placed_parts(field, value, path):
                yield from _damage(part, place) if part.DESCRIPTOR.full_name == ANY else _faults(part, f"{place}.")


def _damage(any_message: xds.Message, path: str) -> Iterator[str]:
    """An Any of a known type must parse; what it says inside is not checked here."""
    if xds.is_known(any_message.type_url) and xds.unpack(any_message) is None:
        yield f"{path} is damaged: it is no {any_message.type_url.rpartition('/')[2]}"


def _placed_parts(field: FieldDescriptor, value: Any, path: str) -> list[tuple[str, xds.Message]]:
    if xds.is_map(field):
        return [(f"{path}{field.name}[{key}]", value[key]) for key in value]
    if field.is_repeated:
        return [(f"{path}{field.name}[{index}]", part) for index, part in enumerate(value)]
    return [(f"{path}{field.name}", value)]


def _holds_unknown(message: xds.Message) -> bool:
    return len(unknown_fields.UnknownFieldSet(message)) > 0


@cache
def _shape(full_name: str) -> _Shape:
    descriptor = xds.pool().FindMessageTypeByName(full_name)
    # inside a oneof, `required` says only that the chosen field is set, which it is by being chosen
    own = [field for field in descriptor.fields if field.message_type is not None and field.containing_oneof is None]
    return _Shape(
        required_fields=tuple(field.name for field in own if _is_required(field)),
        required_oneofs=tuple(oneof.name for oneof in descriptor.oneofs if _rule(oneof.GetOptions())),
        parts=frozenset(field.number for field in descriptor.fields if _part(field) is not None),
    )


def _part(field: FieldDescriptor) -> str | None:
    """Full name of the messages a field holds; None when it holds none."""
    inner = field.message_type
    if inner is not None and xds.is_map(field):
        inner = inner.fields_by_name["value"].message_type
    return None if inner is None else str(inner.full_name)


def _rule(options: Any) -> Any:
    found = [u.data for u in unknown_fields.UnknownFieldSet(options) if u.field_number == _RULES]  # type: ignore[attr-defined]  # missing in the stubs
    return found[0] if found else None


def _is_required(field: FieldDescriptor) -> bool:
    rules = _rule(field.GetOptions())
    return isinstance(rules, bytes) and rules.startswith(_MESSAGE_RULES_TAG) and _REQUIRED in rules
