"""What a kind of HTTP filter contributes to generated cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

PACKAGE = "type.googleapis.com/envoy.extensions.filters.http."


class Kind(NamedTuple):
    """A kind of filter.

    Attributes:
        name: names its instances, with a number behind.
        config: gives the configuration in the listener, with its `@type`; None leaves the filter out.
        override: gives what a route, virtual host or route configuration says instead; None for nothing.
        headers: request headers that matter to it, as (name, values).
        methods: request methods that matter to it.
        is_once: there is one at most in a listener.
    """

    name: str
    config: Callable[[Random], dict[str, Any] | None]
    override: Callable[[Random], dict[str, Any] | None]
    headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    methods: tuple[str, ...] = ()
    is_once: bool = False
