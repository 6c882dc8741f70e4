"""Source: RouteAction.path_rewrite.

Target: proxy-rewrite.uri, a template.
Fidelity: A.
Differs: what the template takes from the request is encoded again; Envoy writes it as it is.
Diagnostics: HDR-FORMAT.
See: mapping.md sections 5.6 and 6.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.format_string import FormatError, Text, Variable, parse, render

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.route_draft import RouteDraft
    from translators.where import Where

_WHOLE_PATH = Variable("real_request_uri")
"""Its query and its escapes would be escaped once more."""


def apply(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> None:
    """Rewrite the path by a format string; one without a template leaves it as it is."""
    try:
        draft.uri = _template(action.path_rewrite, draft.route.name)
    except FormatError as error:
        findings.report("HDR-FORMAT", at.field("path_rewrite"), value=str(error), effect="the path is not rewritten")


def _template(format_string: str, route_name: str) -> str:
    pieces = parse(format_string, "request", {"ROUTE_NAME": route_name})
    first = pieces[0]
    if not isinstance(first, Text) or not first.text.startswith("/"):
        raise FormatError("what does not begin with / is no path")
    if _WHOLE_PATH in pieces:
        raise FormatError("the path of the request cannot be a part of another")
    return render(pieces)
