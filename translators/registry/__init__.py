"""The one table: every xDS field and extension, what becomes of it, how faithfully, with which codes.

Rows are grouped by family in the modules of this package and joined here; nothing registers itself on import. A field
is `Handled` by a mapping, `Ignored` because it has no meaning for the data plane (fidelity I), or `Diagnosed`. A field
in no row is a hole: `dispatch.apply` reports it as CFG-UNKNOWN-FIELD, so nothing is lost silently (law 8).
"""

from __future__ import annotations

from translators.registry import (
    action,
    cluster,
    connection,
    core,
    http,
    identity,
    listener,
    match,
    restriction,
    route,
    stream,
    tls,
)
from translators.registry.row import Diagnosed, Fidelity, Handled, Ignored, Row

__all__ = ["ROWS", "Diagnosed", "Fidelity", "Handled", "Ignored", "Row", "find"]

MAPPINGS: tuple[Row, ...] = (
    *core.ROWS,
    *listener.ROWS,
    *connection.ROWS,
    *http.ROWS,
    *restriction.ROWS,
    *identity.ROWS,
    *route.ROWS,
    *match.ROWS,
    *action.ROWS,
    *cluster.ROWS,
    *tls.ROWS,
    *stream.ROWS,
)
ROWS: dict[str, Row] = {row.source: row for row in MAPPINGS}
if len(ROWS) != len(MAPPINGS):
    raise RuntimeError("a source stands in two rows of the registry")


def find(source: str) -> Row | None:
    """Find the row of a field (`envoy.config.route.v3.RouteMatch.headers`) or of a message type (an extension)."""
    return ROWS.get(source)
