"""Source: RouteAction.path_rewrite_policy: UriTemplateRewriteConfig in a TypedExtensionConfig.

Target: proxy-rewrite.regex_uri: the match's template as a regex, its variables as groups.
Fidelity: A.
Differs: works on the decoded path, which is encoded again.
Diagnostics: RT-ACTION: another policy, a match without a template, a variable that the match does not have.
See: mapping.md section 5.6.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from schemas import xds
from translators.mappings.action.prefix_rewrite import substitution
from translators.mappings.match.path_match_policy import URI_TEMPLATE, template_regex
from translators.regex import RegexError, translate_regex

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.route_draft import RouteDraft
    from translators.where import Where

URI_TEMPLATE_REWRITE = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig"
_VARIABLE = re.compile(r"\{(\w+)\}")
_GROUP = re.compile(r"\(\?P<(\w+)>")


def apply(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> None:
    """Rewrite the path by a template; one that cannot be carried over leaves it as it is."""
    policy = _unpacked(action.path_rewrite_policy, URI_TEMPLATE_REWRITE)
    match = _unpacked(draft.route.match.path_match_policy, URI_TEMPLATE)
    pair = None
    if policy is not None and match is not None:
        pair = template_pair(match.path_template, policy.path_template_rewrite)
    if pair is None:
        findings.report(
            "RT-ACTION",
            at.field("path_rewrite_policy"),
            value=action.path_rewrite_policy.typed_config.type_url,
            effect="the path is not rewritten",
            remedy="use a URI template in the match and in the rewrite",
        )
        return
    draft.regex_uri = pair


def template_pair(template: str, rewrite: str) -> list[str] | None:
    """Give pattern and replacement; None for a broken template or a variable that the match does not have."""
    regex = template_regex(template)
    if regex is None:
        return None
    numbers = {name: index for index, name in enumerate(_GROUP.findall(regex), 1)}
    pieces = _VARIABLE.split(rewrite)
    if any(name not in numbers for name in pieces[1::2]) or any(set("{}") & set(text) for text in pieces[::2]):
        return None
    try:
        pcre = translate_regex(regex).pcre
    except RegexError:
        return None
    replacement = "".join(
        f"${{{numbers[piece]}}}" if index % 2 else substitution(piece) for index, piece in enumerate(pieces)
    )
    return [rf"(?s)\A(?:{pcre})\z", replacement]


def _unpacked(policy: xds.Message, full_name: str) -> xds.Message | None:
    message = xds.unpack(policy.typed_config)
    return message if message is not None and message.DESCRIPTOR.full_name == full_name else None
