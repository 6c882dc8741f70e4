"""Source: envoy.extensions.filters.network.rbac.v3.RBAC.

Target: stream plugin ip-restriction; in front of an HttpConnectionManager conditions on the client's address.
Fidelity: A where policies ask for nothing but addresses; other policies close the chain.
Differs: HTTP requests from an address that is not allowed are answered 404, their connection is not closed.
Diagnostics: L4-RBAC.
See: mapping.md section 4.4.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

from translators import dispatch
from translators.expr import ALWAYS, NEVER, any_of, ip_match, negate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas import xds
    from translators.chain_draft import ChainDraft
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.where import Where

PLUGIN = "ip-restriction"
_ALLOW, _DENY = 0, 1
_VARIABLES = {"direct_remote_ip": "realip_remote_addr", "remote_ip": "remote_addr", "source_ip": "remote_addr"}


class Clients(NamedTuple):
    """Clients by address.

    Attributes:
        is_everyone: any client; then there are no networks.
        networks: (variable that holds the address, CIDR).
    """

    is_everyone: bool = False
    networks: tuple[tuple[str, str], ...] = ()


class Access(NamedTuple):
    """Who may connect: the clients, or everyone but these."""

    is_allowed: bool
    clients: Clients


OPEN = Access(is_allowed=True, clients=Clients(is_everyone=True))


def apply(config: xds.Message, draft: ChainDraft, at: Where, findings: Findings) -> None:
    """Restrict the chain to addresses; close it where that is not all that is asked."""
    dispatch.apply(config, draft, at, findings)
    access = access_of(config)
    if access is None or (PLUGIN in draft.plugins and access != OPEN):
        draft.is_closed = findings.blocks("L4-RBAC", at) or draft.is_closed
        return
    if access.clients.is_everyone:
        draft.is_closed = draft.is_closed or not access.is_allowed
    elif access.clients.networks:
        listed = sorted({network for _, network in access.clients.networks})
        draft.plugins[PLUGIN] = {"whitelist" if access.is_allowed else "blacklist": listed}
    elif access.is_allowed:
        draft.is_closed = True


def condition_of(config: xds.Message, at: Where, findings: Findings) -> Expr | None:
    """Give the condition on clients in front of an HttpConnectionManager; None when the chain must not be served."""
    dispatch.apply(config, None, at, findings)
    access = access_of(config)
    if access is None:
        return None if findings.blocks("L4-RBAC", at) else ALWAYS
    listed = ALWAYS if access.clients.is_everyone else any_of(_matches(access.clients.networks))
    return listed if access.is_allowed else NEVER if listed == ALWAYS else negate(listed)


def access_of(config: xds.Message) -> Access | None:
    """Read who may connect; None when anything but an address decides."""
    if config.HasField("matcher"):
        return None
    if not config.HasField("rules") or config.rules.action not in (_ALLOW, _DENY):
        return OPEN
    clients = Clients()
    for name in sorted(config.rules.policies):
        found = _of_policy(config.rules.policies[name])
        if found is None:
            return None
        clients = _either(clients, found)
    is_allowed = config.rules.action == _ALLOW
    if not is_allowed and clients == Clients():
        return OPEN
    return Access(is_allowed, clients)


def _of_policy(policy: xds.Message) -> Clients | None:
    is_bare = not policy.HasField("condition") and not policy.HasField("checked_condition")
    if not is_bare or not any(permission.any for permission in policy.permissions):
        return None
    return _union(policy.principals)


def _union(principals: Iterable[xds.Message]) -> Clients | None:
    clients = Clients()
    for principal in principals:
        found = _of_principal(principal)
        if found is None:
            return None
        clients = _either(clients, found)
    return clients


def _of_principal(principal: xds.Message) -> Clients | None:
    kind = principal.WhichOneof("identifier")
    if kind == "any":
        return Clients(is_everyone=True) if principal.any else None
    if kind == "or_ids":
        return _union(principal.or_ids.ids)
    if kind not in _VARIABLES:
        return None
    cidr = getattr(principal, kind)
    try:
        network = ip_network(f"{cidr.address_prefix}/{cidr.prefix_len.value}", strict=False)
    except ValueError:
        return None
    return Clients(networks=((_VARIABLES[kind], str(network)),))


def _either(left: Clients, right: Clients) -> Clients:
    if left.is_everyone or right.is_everyone:
        return Clients(is_everyone=True)
    return Clients(networks=(*left.networks, *right.networks))


def _matches(networks: Iterable[tuple[str, str]]) -> list[Expr]:
    by_variable: dict[str, list[str]] = {}
    for variable, network in networks:
        by_variable.setdefault(variable, []).append(network)
    return [ip_match(variable, sorted(set(found))) for variable, found in sorted(by_variable.items())]
