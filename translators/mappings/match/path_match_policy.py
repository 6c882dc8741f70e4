"""RouteMatch.path_match_policy.

Source: envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig in a TypedExtensionConfig.
Target: the template as a regex: `*` = one segment, `**` = the rest, `{name=…}` = what stands in it.
Fidelity: E.
Differs: nothing.
Diagnostics: RT-REGEX; another policy than uri_template: RT-MATCHER.
See: mapping.md section 5.5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from schemas import xds
from translators.mappings.match.safe_regex import require_regex

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where

URI_TEMPLATE = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
_TOKEN = re.compile(r"\{([A-Za-z_]\w*)(?:=([^{}]*))?\}|(\*\*|\*)|([^*{}]+)|(.)", re.DOTALL)


def apply(match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Translate the template."""
    at = at.field("path_match_policy")
    policy = xds.unpack(match.path_match_policy.typed_config)
    if policy is None or policy.DESCRIPTOR.full_name != URI_TEMPLATE:
        draft.widen(
            "RT-MATCHER",
            at,
            findings,
            value=match.path_match_policy.typed_config.type_url,
            effect="the route is left out",
        )
        return
    regex = template_regex(policy.path_template)
    if regex is None:
        draft.widen("RT-REGEX", at, findings, value=policy.path_template)
        return
    require_regex(regex, draft, at, findings)


def template_regex(template: str) -> str | None:
    """Give a regex in RE2's syntax whose named groups are the template's variables; None for a broken template."""
    pieces = []
    for name, inner, wildcard, literal, broken in _TOKEN.findall(template):
        if broken:
            return None
        if name:
            within = template_regex(inner or "*")
            if within is None:
                return None
            pieces.append(f"(?P<{name}>{within})")
        elif wildcard:
            pieces.append("[^/]+" if wildcard == "*" else ".*")
        else:
            pieces.append(re.sub(r"[^0-9A-Za-z_/-]", lambda found: "\\" + found.group(), literal))
    return "".join(pieces)
