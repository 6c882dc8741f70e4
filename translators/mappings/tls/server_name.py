"""Source: FilterChainMatch.server_names of the chains that share an SNI set.

Target: ssl.snis, ssl.sni.
Fidelity: E for exact names; A for wildcards, which cover one label in APISIX and any depth in Envoy.
Differs: names that no certificate covers fall back to the catch-all where there is one.
Diagnostics: TLS-SNI-DEPTH, CFG-INVALID.
See: mapping.md section 4.5, "SNI value rules".
"""

from __future__ import annotations

import re

CATCH_ALL = "*"
_NAME = re.compile(r"(?:\*\.)?[0-9a-z._-]{1,253}\Z")


def read_names(joined: str) -> tuple[list[str], list[str]]:
    """Split the unit's SNI set.

    Args:
        joined: names, comma-joined; `*` or nothing for a chain without server_names.

    Returns:
        The names in APISIX's form (lower case, no trailing dot, sorted), and those that cannot be one.
    """
    names = {name.strip().lower().rstrip(".") for name in joined.split(",")} - {""}
    good = {name for name in names if name == CATCH_ALL or _NAME.match(name)}
    return sorted(good) or ([CATCH_ALL] if not names else []), sorted(names - good)


def group_names(names: list[str]) -> list[list[str]]:
    """Group names into ssl objects: all exact ones together, every wildcard and the catch-all by itself.

    A longer name beside a wildcard would make APISIX accept deeper names than the wildcard alone does.
    """
    exact = [name for name in names if not name.startswith(CATCH_ALL)]
    alone = [[name] for name in names if name.startswith(CATCH_ALL)]
    return [*([exact] if exact else []), *alone]
