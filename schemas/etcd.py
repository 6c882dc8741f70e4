"""The private descriptor pool of the etcd v3 API: the only module that knows where its message classes come from.

It is loaded with the first HTTP/2 connection of an agent, so nothing imports it before. Messages are typed `Any`: their
classes exist only at run time. See docs/adr/0002-private-descriptor-pool.md.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

from google.protobuf import descriptor_pool, message_factory

from schemas.message_pool import load_pool

Message: TypeAlias = Any


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """Load the descriptor set once.

    Raises:
        RuntimeError: the build product is missing (the package was not installed, only copied).
    """
    return load_pool("etcd.binpb")


@cache
def message_class(name: str) -> type[Message]:
    """Give the class of a message.

    Args:
        name: its full proto name, or that of a message of `etcdserverpb` alone.

    Raises:
        KeyError: the set has no such message.
    """
    full_name = name if "." in name else f"etcdserverpb.{name}"
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(full_name))
