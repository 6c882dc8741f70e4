"""Source: HttpConnectionManager.forward_client_cert_details, set_current_client_cert_details, ….

Target: for what clients send, a removal in the view's one global rule, as SANITIZE is the default; for what is set
    instead, proxy-rewrite.headers of the chain's routes.
Fidelity: E for SANITIZE, FORWARD_ONLY and ALWAYS_FORWARD_ONLY; A where details are set.
Differs: By, Hash, URI, DNS and the chain have no variable and are left out; an element is only written where every
    client has a certificate; a certificate that does not verify counts as none.
Diagnostics: HCM-XFF.
See: mapping.md section 4.6, docs/adr/0005.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from translators.format_string import Piece, Text, Variable
from translators.header_step import APPEND, OVERWRITE, Mutation, Step
from translators.mappings.transport_socket import is_raw, unwrap

if TYPE_CHECKING:
    from schemas import xds
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where

HEADER = "x-forwarded-client-cert"
_FIELD = "forward_client_cert_details"
_DETAILS = "set_current_client_cert_details"
_VARIABLES = {"cert": ("Cert", "ssl_client_escaped_cert"), "subject": ("Subject", "ssl_client_s_dn")}
"""In the order in which Envoy writes them."""
_LOST = ("chain", "dns", "uri")
_NOTHING_SET = "the client's header is removed and none is set"
_PART_SET = "an element has only Subject and Cert, no By and no Hash"


class Forward(IntEnum):
    """HttpConnectionManager.ForwardClientCertDetails."""

    SANITIZE = 0
    FORWARD_ONLY = 1
    APPEND_FORWARD = 2
    SANITIZE_SET = 3
    ALWAYS_FORWARD_ONLY = 4


class Client(IntEnum):
    """What a chain knows of its clients' certificates."""

    ANONYMOUS = 0
    """There are none: plaintext, or no certificate is asked for."""
    OPTIONAL = 1
    """Whether there is one is known per request."""
    CERTIFIED = 2
    """Every client has one."""


def client_of(chain: xds.Message | None) -> Client:
    """Tell what a chain, in full or as a stub, knows of its clients' certificates."""
    if chain is None or not chain.HasField("transport_socket") or is_raw(chain.transport_socket):
        return Client.ANONYMOUS
    context = unwrap(chain.transport_socket).context
    if context is None or context.DESCRIPTOR.name != "DownstreamTlsContext":
        return Client.OPTIONAL
    return Client.CERTIFIED if context.require_client_certificate.value else Client.OPTIONAL


def kept_for(hcm: xds.Message, chain: xds.Message | None) -> Client | None:
    """Tell whose header passes the removal of the view.

    Args:
        hcm: the connection manager, in full or as a stub.
        chain: its chain.

    Returns:
        ANONYMOUS: every client's; OPTIONAL: that of clients whose certificate has been verified, who may be all;
        None: nobody's.
    """
    if hcm.HasField("forward_client_cert_matcher"):
        return None
    forward, client = hcm.forward_client_cert_details, client_of(chain)
    if forward == Forward.ALWAYS_FORWARD_ONLY:
        return Client.ANONYMOUS
    is_kept = forward in (Forward.FORWARD_ONLY, Forward.APPEND_FORWARD)
    return Client.OPTIONAL if is_kept and client is not Client.ANONYMOUS else None


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Write the element about the current client, where one is wanted."""
    if hcm.HasField("forward_client_cert_matcher"):
        findings.report("HCM-XFF", at.field("forward_client_cert_matcher"), effect=_NOTHING_SET)
        return
    forward, client = hcm.forward_client_cert_details, client_of(draft.chain)
    if forward not in (Forward.APPEND_FORWARD, Forward.SANITIZE_SET) or client is Client.ANONYMOUS:
        return
    pieces = _element(hcm.set_current_client_cert_details)
    if client is Client.OPTIONAL or not pieces:
        effect = "no element is added" if forward == Forward.APPEND_FORWARD else _NOTHING_SET
        findings.report("HCM-XFF", at.field(_FIELD), effect=effect, remedy="require a client certificate")
        return
    findings.report("HCM-XFF", at.field(_FIELD), effect=_PART_SET)
    for name in _LOST:
        if _is_wanted(hcm.set_current_client_cert_details, name):
            findings.report("HCM-XFF", at.field(_DETAILS).field(name), effect=f"an element has no {name}")
    action = APPEND if forward == Forward.APPEND_FORWARD else OVERWRITE
    mutation = Mutation(HEADER, pieces, action, keeps_empty=False, at=at.field(_FIELD))
    draft.request.append(Step(mutations=(mutation,)))


def _element(details: xds.Message) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for name, (key, variable) in _VARIABLES.items():
        if _is_wanted(details, name):
            pieces += [Text(f'{";" if pieces else ""}{key}="'), Variable(variable), Text('"')]
    return tuple(pieces)


def _is_wanted(details: xds.Message, name: str) -> bool:
    wanted = getattr(details, name)
    return bool(wanted.value) if name == "subject" else bool(wanted)
