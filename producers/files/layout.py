"""The shapes a file of xDS resources can have, and where the resources are in each.

Four shapes: an Envoy bootstrap (`static_resources`), `{"resources": {type_url: [...]}}`, what the admin endpoint
`/config_dump` gives, and a DiscoveryResponse (`resources` a list of messages with `@type`), or just such a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producers.files.document import Path

BOOTSTRAP: Final = xds.TYPE_URL_PREFIX + "envoy.config.bootstrap.v3.Bootstrap"
RESOURCE_WRAPPER: Final = xds.TYPE_URL_PREFIX + "envoy.service.discovery.v3.Resource"
STATIC: Final = {"secrets": xds.SECRET, "clusters": xds.CLUSTER, "listeners": xds.LISTENER}
DUMPED: Final = {
    "static_listeners": "listener",
    "dynamic_listeners": "listener",
    "static_clusters": "cluster",
    "dynamic_active_clusters": "cluster",
    "dynamic_route_configs": "route_config",
    "dynamic_endpoint_configs": "endpoint_config",
    "static_secrets": "secret",
    "dynamic_active_secrets": "secret",
    "dynamic_scoped_route_configs": "scoped_route_configs",
    "ecds_filters": "ecds_filter",
}
"""Field of a dump -> the field of its entries that holds the resource. Static route configurations are inside their
listeners and warming or rejected resources are not in force: both are left out."""


class Located(NamedTuple):
    """One resource of a file, still as a tree."""

    type_url: str
    tree: Any
    path: Path
    version_info: str = ""


class UnknownLayoutError(ValueError):
    """The document is well-formed but holds no resources of a shape that is known; the text says what to do."""


class Layout(NamedTuple):
    """The resources of a document."""

    located: tuple[Located, ...]
    is_static: bool
    """A bootstrap: written by hand and read strictly, as Envoy reads it."""
    follows: tuple[str, ...] = ()
    """Files that a bootstrap takes its listeners and clusters from."""


def read_layout(tree: Any) -> Layout:
    """Find the resources of a document.

    Raises:
        UnknownLayoutError: none of the shapes.
    """
    if isinstance(tree, list):
        return Layout(tuple(_messages(tree, (), "")), is_static=False)
    if not isinstance(tree, dict):
        raise UnknownLayoutError(f"a mapping is expected at the top, not a {type(tree).__name__}")
    follows = tuple(_followed(tree))
    if "static_resources" in tree or "staticResources" in tree:
        return Layout(tuple(_static(tree)), is_static=True, follows=follows)
    if follows:
        return Layout((), is_static=True, follows=follows)
    if isinstance(tree.get("resources"), dict):
        return Layout(tuple(_typed(tree["resources"])), is_static=False)
    if isinstance(tree.get("resources"), list):
        version = str(tree.get("version_info") or tree.get("versionInfo") or "")
        return Layout(tuple(_messages(tree["resources"], ("resources",), version)), is_static=False)
    if isinstance(tree.get("configs"), list):
        return Layout(tuple(_dumped(tree["configs"])), is_static=False)
    if "dynamic_resources" in tree or "dynamicResources" in tree:
        raise UnknownLayoutError(
            "the bootstrap names a control plane and has no static_resources and no file; use an xds source"
        )
    raise UnknownLayoutError("none of static_resources, resources, configs stands at the top: not an Envoy file")


def _followed(tree: dict[str, Any]) -> Iterator[str]:
    """Give the paths of `lds_config` and `cds_config`, as `path_config_source` or in the older form `path`."""
    dynamic = _either(tree, "dynamic_resources", "dynamicResources")
    for names in (("cds_config", "cdsConfig"), ("lds_config", "ldsConfig")):
        source = _either(dynamic, *names)
        for holder in (_either(source, "path_config_source", "pathConfigSource"), source):
            if isinstance(path := holder.get("path"), str):
                yield path


def _either(tree: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((tree[name] for name in names if isinstance(tree.get(name), dict)), {})


def _static(tree: dict[str, Any]) -> Iterator[Located]:
    top = "static_resources" if "static_resources" in tree else "staticResources"
    resources = {} if tree[top] is None else tree[top]
    if not isinstance(resources, dict):
        raise UnknownLayoutError(f"{top}: a mapping is expected, not a {type(resources).__name__}")
    for field, value in resources.items():
        if field not in STATIC:
            raise UnknownLayoutError(f"{top}.{field}: no such field; there are secrets, clusters and listeners")
        for index, item in enumerate(_list(value, f"{top}.{field}")):
            yield Located(STATIC[field], item, (top, field, index))


def _typed(resources: dict[str, Any]) -> Iterator[Located]:
    for type_url, items in resources.items():
        for index, item in enumerate(_list(items, f"resources.{type_url}")):
            yield Located(str(type_url), item, ("resources", type_url, index))


def _messages(items: list[Any], path: Path, version: str) -> Iterator[Located]:
    for index, item in enumerate(items):
        place = (*path, index)
        if not isinstance(item, dict) or not isinstance(item.get("@type"), str):
            raise UnknownLayoutError(f"{'.'.join(map(str, place))}: a resource with @type is expected")
        yield from _message(item, place, version)


def _message(item: dict[str, Any], path: Path, version: str) -> Iterator[Located]:
    if item["@type"] == RESOURCE_WRAPPER:
        inner = item.get("resource")
        if isinstance(inner, dict) and isinstance(inner.get("@type"), str):
            yield from _message(inner, (*path, "resource"), str(item.get("version") or version))
        return
    yield Located(item["@type"], {key: value for key, value in item.items() if key != "@type"}, path, version)


def _dumped(configs: list[Any]) -> Iterator[Located]:
    for index, config in enumerate(configs):
        for field, entries in config.items() if isinstance(config, dict) else ():
            if field not in DUMPED or not isinstance(entries, list):
                continue
            for place, entry in enumerate(entries):
                yield from _dump_entry(entry, DUMPED[field], ("configs", index, field, place))


def _dump_entry(entry: Any, field: str, path: Path) -> Iterator[Located]:
    if isinstance(entry, dict) and isinstance(entry.get("active_state"), dict):
        entry, path = entry["active_state"], (*path, "active_state")
    found = entry.get(field) if isinstance(entry, dict) else None
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, dict) and isinstance(item.get("@type"), str):
            yield from _message(item, (*path, field), str(entry.get("version_info") or ""))


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise UnknownLayoutError(f"{place}: a list is expected, not a {type(value).__name__}")
    return value
