"""The one global rule of a view: what happens to every request whatever its route (mapping.md sections 4.6 and 4.8).

APISIX drops a plugin that stands in two global rules, so there is one rule for all listeners, and where connection
managers want different things a plugin has a condition over the scopes of those that do not want it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from translators.etcd_object import build_object
from translators.expr import ALWAYS, NEVER, all_of, any_of, conjuncts, equals, negate
from translators.findings import Findings
from translators.mappings.http_connection_manager import forward_client_cert, request_id
from translators.mappings.http_connection_manager.forward_client_cert import Client
from translators.scope import Chain, scope_conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas import xds
    from schemas.records import EtcdObject
    from translators.expr import Expr
    from translators.policy import Policy
    from translators.where import Where

GLOBAL_RULE_ID = "xds"


class Managed(NamedTuple):
    """A chain that ends in an HttpConnectionManager.

    Attributes:
        listener: the stub of its listener.
        chain: its place in it.
        hcm: the stub of its connection manager.
        at: the listener.
    """

    listener: xds.Message
    chain: Chain
    hcm: xds.Message
    at: Where


def global_rule(managed: Sequence[Managed], listeners: Sequence[xds.Message], policy: Policy) -> EtcdObject:
    """Build the rule.

    Args:
        managed: all HTTP chains of the view.
        listeners: stubs of all listeners.
        policy: what the operator decided.
    """
    plugins: dict[str, Any] = {"prometheus": {"prefer_name": True}}
    kept = any_of(_kept(one, listeners, policy) for one in managed)
    removal = {"headers": {"remove": ["X-Forwarded-Client-Cert"]}, "use_real_request_uri_unsafe": True}
    _add(plugins, "proxy-rewrite", removal, kept, is_wanted=bool(managed))
    bare = [one for one in managed if not request_id.is_generated(one.hcm)]
    spared = any_of(_scope(one, listeners, policy) for one in bare)
    _add(plugins, request_id.PLUGIN, request_id.generating(), spared, is_wanted=len(bare) < len(managed))
    return build_object("global_rules", GLOBAL_RULE_ID, {"plugins": plugins})


def _add(plugins: dict[str, Any], name: str, conf: dict[str, Any], spared: Expr, *, is_wanted: bool) -> None:
    """Add a plugin for all requests but the spared ones."""
    if is_wanted and spared != ALWAYS:
        meta = {"_meta": {"filter": conjuncts((negate(spared),))}} if spared != NEVER else {}
        plugins[name] = {**conf, **meta}


def _scope(one: Managed, listeners: Sequence[xds.Message], policy: Policy) -> Expr:
    """Give the condition of a chain's scope; one that cannot be expressed takes no request."""
    neighbours = [listener for listener in listeners if listener is not one.listener]
    conditions = scope_conditions(one.listener, one.chain, neighbours, one.at, Findings(policy))
    return NEVER if conditions is None else all_of(conditions)


def _kept(one: Managed, listeners: Sequence[xds.Message], policy: Policy) -> Expr:
    """Give the condition under which a client's x-forwarded-client-cert passes."""
    client = forward_client_cert.kept_for(one.hcm, one.chain.message)
    if client is None:
        return NEVER
    scope = _scope(one, listeners, policy)
    return scope if client is Client.ANONYMOUS else all_of((scope, equals("ssl_client_verify", "SUCCESS")))
