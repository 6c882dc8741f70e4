"""The address a client has reached, which is the one it can reach again (etcd-contract.md section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


def own_url(transport: asyncio.BaseTransport) -> str:
    """Give the URL of this end of a connection."""
    scheme = "https" if transport.get_extra_info("ssl_object") is not None else "http"
    host, port = transport.get_extra_info("sockname")[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
