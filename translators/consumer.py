"""Consumers: what APISIX knows clients by, carried by the units whose routes need them.

A consumer's name is the hash of what it is recognised by, so bundles that need the same one carry equal objects under
one name (architecture.md section 4), and one of another content never takes its place. That its key is unknown to other
routes cannot be had: every route with the plugin recognises every consumer of the node, so each route lists its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from translators.etcd_object import build_object
from translators.ids import hash80

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from schemas.records import EtcdObject

_TOKEN = re.compile(r"mfseal1\.[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
"""A sealed value; its second part is the same whenever the plaintext is."""
CLIENT_HEADER = "x-consumer-custom-id"
"""What tells the label `custom_id` of the consumer to plugins behind, and to the upstream."""
ADDED_HEADERS = ("x-consumer-username",)
"""What APISIX tells the upstream about the consumer and Envoy does not."""


def consumer_name(plugin: str, credential: Mapping[str, Any]) -> str:
    """Name the consumer with a credential: 18 characters of `[a-z0-9_]`."""
    content = orjson.dumps(credential, option=orjson.OPT_SORT_KEYS).decode()
    recognised = _TOKEN.sub(r"\1", content)
    return f"x_{hash80('consumers', plugin, recognised)}"


def recognising(plugin: str, conf: dict[str, Any], consumers: Iterable[str], status: int) -> dict[str, dict[str, Any]]:
    """Give the plugins that recognise a consumer and turn all but those of the route away.

    Args:
        plugin: that recognises consumers.
        conf: its configuration; `_meta.filter` says when it runs.
        consumers: names of those that may pass.
        status: for the others.

    Returns:
        The plugins in the order in which they run. The second looks at what the first has found, not at the request,
        which the first may have changed.
    """
    listed: dict[str, Any] = {"rejected_code": status, "whitelist": sorted(set(consumers))}
    if "filter" in conf.get("_meta", {}):
        listed["_meta"] = {"filter": [("consumer_name", "~~", ".*")]}
    return {plugin: conf, "consumer-restriction": listed}


def consumer_objects(consumers: Mapping[str, Mapping[str, Any]]) -> Iterator[EtcdObject]:
    """Give consumers; those that no route lists tell a client that is known from one that is not.

    Args:
        consumers: their values without the name, by name.
    """
    for name, value in sorted(consumers.items()):
        yield build_object("consumers", name, {**value, "username": name})
