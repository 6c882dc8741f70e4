"""Which function translates which kind of unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.records import UnitKind
from translators import cluster_unit, http_unit, secret_unit, stream_unit, tls_unit, view_unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from translators.findings import Findings
    from translators.translation import Translation
    from translators.unit_view import UnitView

KINDS: dict[UnitKind, Callable[[UnitView, Findings], Translation]] = {
    UnitKind.SECRET: secret_unit.translate,
    UnitKind.CLUSTER: cluster_unit.translate,
    UnitKind.TLS: tls_unit.translate,
    UnitKind.HTTP: http_unit.translate,
    UnitKind.STREAM: stream_unit.translate,
    UnitKind.VIEW: view_unit.translate,
}
