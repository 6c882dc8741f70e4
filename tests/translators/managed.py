"""Apply the rows of HttpConnectionManager to one that is given as JSON data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas import xds
from translators import dispatch
from translators.connection import ConnectionDraft
from translators.findings import Findings
from translators.policy import Policy
from translators.where import Where

if TYPE_CHECKING:
    from schemas.records import Diagnostic

CHAIN = "envoy.config.listener.v3.FilterChain"
DOWNSTREAM_TLS = xds.DOWNSTREAM_TLS_CONTEXT


@dataclass(frozen=True, slots=True)
class Managed:
    """What became of a connection manager."""

    draft: ConnectionDraft
    diagnostics: tuple[Diagnostic, ...]

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(found.code, found.path) for found in self.diagnostics]

    @property
    def request(self) -> dict[str, str]:
        """Literal mutations of the request by header."""
        found = [mutation for step in self.draft.request for mutation in step.mutations]
        return {mutation.name: "".join(getattr(p, "text", f"${p}") for p in mutation.pieces) for mutation in found}


def managed(
    hcm: dict[str, Any], chain: dict[str, Any] | None = None, collectors: dict[str, str] | None = None
) -> Managed:
    """Apply.

    Args:
        hcm: HttpConnectionManager as JSON data.
        chain: the FilterChain around it as JSON data.
        collectors: as in the policy.
    """
    findings = Findings(Policy(collectors=collectors or {}))
    around = xds.from_json(chain or {}, xds.message_class(CHAIN)())
    draft = ConnectionDraft(around, findings.policy.collectors)
    message = xds.from_json(hcm, xds.message_class(xds.HTTP_CONNECTION_MANAGER)())
    dispatch.apply(message, draft, Where(xds.LISTENER, "web"), findings)
    return Managed(draft, findings.diagnostics())


def tls_chain(*, is_required: bool | None) -> dict[str, Any]:
    """Give a chain with TLS; None = it says nothing of client certificates."""
    required = {} if is_required is None else {"require_client_certificate": is_required}
    config = {"@type": DOWNSTREAM_TLS, **required, "common_tls_context": {}}
    return {"name": "main", "transport_socket": {"name": "tls", "typed_config": config}}
