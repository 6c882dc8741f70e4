"""Source: RouteAction.auto_host_rewrite, Endpoint.hostname.

Target: upstream.pass_host and upstream_host.
Fidelity: E when all endpoints have one host name; A for several names; N for host names of IP endpoints that differ.
Differs: `node` appends the port where it is not the default of the scheme.
Diagnostics: RA-HOST.
See: mapping.md section 5.6.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.where import Where

_HOST = re.compile(r"[0-9a-zA-Z._\[\]:-]{1,256}\Z")
_PASS = {"pass_host": "pass"}


def host_of(endpoints: list[Endpoint], at: Where, findings: Findings) -> dict[str, str]:
    """Give the fields for a use that rewrites the Host header to the host name of the endpoint."""
    names = {endpoint.hostname for endpoint in endpoints}
    if names <= {""}:
        return _PASS
    name = next(iter(names))
    if len(names) == 1 and _HOST.match(name):
        return {"pass_host": "rewrite", "upstream_host": name}
    if all(endpoint.is_named and endpoint.hostname == endpoint.host for endpoint in endpoints):
        return {"pass_host": "node"}
    findings.report(
        "RA-HOST",
        at,
        value=", ".join(sorted(names)),
        effect="the Host header is not rewritten: the endpoints have different host names",
        remedy="give all endpoints one hostname",
    )
    return _PASS
