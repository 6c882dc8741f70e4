"""What listener, chain and connection manager say about every virtual host behind them, worked out once for all units.

A listener of many virtual hosts is cut into as many units, each with the same listener inside. What depends on nothing
but these bytes and the policy is the same for each, findings included, so it is remembered: a memo of a pure function.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas import xds
from schemas.records import Role
from translators import dispatch
from translators.connection import ConnectionDraft
from translators.findings import Findings
from translators.http_filter import manager_place
from translators.mappings.listener.network_filter import front_conditions
from translators.scope import Chain, own_chain, scope_conditions
from translators.where import Where

if TYPE_CHECKING:
    from translators.expr import Expr
    from translators.policy import Policy
    from translators.unit_view import UnitView

MAX_REMEMBERED = 64
"""Chains in work at a time; a worker gets the units of one chain together when the chain changes."""
MAX_REMEMBERED_BYTES = 1 << 18
"""A larger listener is read each time, so that what is remembered stays below some ten MiB."""
_HCM = xds.HTTP_CONNECTION_MANAGER.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Surrounding:
    """What surrounds the virtual hosts of a chain, read-only.

    Attributes:
        listener: the Listener, reduced to one full chain.
        chain: the full one, with its siblings.
        hcm: its HttpConnectionManager.
        connection: what the connection manager does to every request.
        conditions: which requests the chain takes; None when it must not be served.
        findings: about all of these.
        memo: what mappings have worked out from these alone, by keys that begin with their name.
    """

    listener: xds.Message
    chain: Chain
    hcm: xds.Message
    connection: ConnectionDraft
    conditions: tuple[Expr, ...] | None
    findings: Findings
    memo: dict[tuple[Any, ...], Any] = field(default_factory=dict)


_Key = tuple[int, str, bytes, tuple[bytes, ...]]
_REMEMBERED: OrderedDict[_Key, tuple[Policy, Surrounding | None]] = OrderedDict()


def surrounding_of(view: UnitView, policy: Policy) -> Surrounding | None:
    """Give what surrounds the virtual hosts of a unit; None when the unit has no HTTP filter chain.

    Args:
        view: SUBJECT Listener reduced to one chain, SIBLING Listeners on the same port, parameter `chain`.
        policy: what the operator decided.
    """
    neighbours = view.bodies(Role.SIBLING, xds.LISTENER)
    bodies = view.bodies(Role.SUBJECT, xds.LISTENER)
    if not bodies:
        return None
    if sum(map(len, (*bodies, *neighbours))) > MAX_REMEMBERED_BYTES:
        return _read(view, policy)
    # The entry holds the policy, so its id is nobody else's for as long as the entry is there.
    key = id(policy), view.param("chain"), bodies[0], neighbours
    found = _REMEMBERED.pop(key, None) or (policy, _read(view, policy))
    _REMEMBERED[key] = found
    if len(_REMEMBERED) > MAX_REMEMBERED:
        _REMEMBERED.popitem(last=False)
    return found[1]


def _read(view: UnitView, policy: Policy) -> Surrounding | None:
    listener = view.subject(xds.LISTENER)
    chain = own_chain(listener) if listener is not None else None
    hcm = _connection_manager(chain.message) if chain is not None else None
    if listener is None or chain is None or hcm is None:
        return None
    findings = Findings(policy)
    at = Where(xds.LISTENER, listener.name)
    at_chain = at.item("filter_chains", chain.message.name) if chain.message.name else at.field("filter_chains")
    connection = ConnectionDraft(chain.message, policy.collectors)
    is_open = dispatch.apply(listener, None, at, findings)
    is_open = dispatch.apply(chain.message, None, at_chain, findings) and is_open
    at_manager = manager_place(listener.name, view.param("chain"))
    is_open = dispatch.apply(hcm, connection, at_manager, findings) and is_open
    front = front_conditions(chain.message, at_chain, findings)
    neighbours = [message for _, message in view.all(Role.SIBLING, xds.LISTENER)]
    scope = scope_conditions(listener, chain, neighbours, at, findings)
    is_served = is_open and scope is not None and front is not None
    conditions = (*(scope or ()), *(front or ())) if is_served else None
    return Surrounding(listener, chain, hcm, connection, conditions, findings)


def _connection_manager(chain: xds.Message) -> xds.Message | None:
    last = xds.unpack(chain.filters[-1].typed_config)
    return last if last is not None and last.DESCRIPTOR.full_name == _HCM else None
