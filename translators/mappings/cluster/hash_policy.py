"""Source: RouteAction.hash_policy, TcpProxy.hash_policy (envoy.type.v3.HashPolicy).

Target: upstream.hash_on and upstream.key of a chash upstream.
Fidelity: A.
Differs: the hash itself (crc32 ketama, not xxhash or murmur); a missing key falls back to the client address.
Diagnostics: RA-HASH-COOKIE where a cookie would be generated (told by the mapping of the route).
See: mapping.md section 5.7.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds

_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
_PSEUDO_HEADERS = {
    ":path": "real_request_uri",
    ":authority": "http_host",
    "host": "http_host",
    ":method": "request_method",
    ":scheme": "scheme",
}
_NO_HASH = ("", "")


def l7_hash(policies: list[xds.Message]) -> tuple[str, str]:
    """Give (hash_on, key) of RouteAction.HashPolicy messages; two empty strings when none can be carried over."""
    sources: list[tuple[str, str]] = []
    for policy in policies:
        source = _l7_source(policy)
        if source == _NO_HASH:
            continue
        sources.append(source)
        if policy.terminal:
            break
    if len(sources) > 1:
        return "vars_combinations", "".join(f"${{{_variable(*source)}}}" for source in sources)
    return sources[0] if sources else _NO_HASH


def l4_hash(policies: list[xds.Message]) -> tuple[str, str]:
    """Give (hash_on, key) of envoy.type.v3.HashPolicy messages: only the client address can be hashed."""
    if any(policy.WhichOneof("policy_specifier") == "source_ip" for policy in policies):
        return "vars", "remote_addr"
    return _NO_HASH


def _l7_source(policy: xds.Message) -> tuple[str, str]:
    specifier = policy.WhichOneof("policy_specifier")
    if specifier == "header":
        return _header(policy.header)
    if specifier == "cookie" and _NAME.match(policy.cookie.name):
        return "cookie", policy.cookie.name
    if specifier == "connection_properties" and policy.connection_properties.source_ip:
        return "vars", "remote_addr"
    if specifier == "query_parameter" and _NAME.match(policy.query_parameter.name):
        return "vars", f"arg_{policy.query_parameter.name}"
    return _NO_HASH


def _header(header: xds.Message) -> tuple[str, str]:
    name = header.header_name.lower()
    if header.HasField("regex_rewrite"):
        return _NO_HASH
    if name in _PSEUDO_HEADERS:
        return "vars_combinations", f"${{{_PSEUDO_HEADERS[name]}}}"
    if not _NAME.match(name):
        return _NO_HASH
    return "header", name


def _variable(hash_on: str, key: str) -> str:
    if hash_on == "header":
        return "http_" + key.replace("-", "_")
    if hash_on == "vars_combinations":
        return key[2:-1]
    return f"cookie_{key}" if hash_on == "cookie" else key
