"""ECDS: puts the discovered configuration of filters where their ExtensionConfigSource stands. Pure.

Source: `envoy.config.core.v3.ExtensionConfigSource`, mapping.md section 6.4. Whoever reads a filled Listener sees the
filters as if they had been written in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.traversal import descend, rewrite
from producers.xds.references import DISCOVERED_FILTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas import xds


def fill(message: xds.Message, extensions: Mapping[str, xds.Message]) -> xds.Message:
    """Copy a message and give each discovered filter in it its configuration.

    A filter whose extension is not known, or is of a type that the filter does not allow, gets its `default_config`;
    without one it keeps its `config_discovery`.

    Args:
        message: a resource, e.g. a Listener.
        extensions: `envoy.config.core.v3.TypedExtensionConfig` by name.
    """
    filled = type(message)()
    filled.CopyFrom(message)
    for filter_name in DISCOVERED_FILTERS:  # network filters first: what fills them may hold filters to fill
        rewrite(filled, filter_name, lambda found: _fill_one(found, extensions))
    return filled


def pending(message: xds.Message) -> list[str]:
    """Give the names of the filters that still have no configuration."""
    return sorted({found.name for found in descend(message) if _is_pending(found)})


def _is_pending(message: xds.Message) -> bool:
    return message.DESCRIPTOR.full_name in DISCOVERED_FILTERS and message.HasField("config_discovery")


def _fill_one(found: xds.Message, extensions: Mapping[str, xds.Message]) -> None:
    if not found.HasField("config_discovery"):
        return
    source = found.config_discovery
    extension = extensions.get(found.name)
    if extension is not None and _is_allowed(source, extension.typed_config.type_url):
        config = extension.typed_config
    elif source.HasField("default_config"):
        config = source.default_config
    else:
        return
    chosen = type(config)()
    chosen.CopyFrom(config)
    found.ClearField("config_discovery")
    found.typed_config.CopyFrom(chosen)


def _is_allowed(source: xds.Message, type_url: str) -> bool:
    """No type URL in the list would mean none at all; a TypedStruct says inside which type it stands for."""
    allowed = {allowed.rpartition("/")[2] for allowed in source.type_urls}
    return not allowed or type_url.rpartition("/")[2] in allowed or type_url.endswith(".TypedStruct")
