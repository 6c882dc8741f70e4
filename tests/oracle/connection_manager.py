"""What generated connection managers do besides routing and filters, and requests to which it matters.

The random source is one of its own, so that everything else about a seed stays as it was.
"""

from __future__ import annotations

import dataclasses
import operator
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.oracle.apisix_model import WireRequest

FEWEST_LEVEL = 2
EARLY = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
_FORWARDS = ("SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")
_ACTIONS = ("REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD")
_COMPARISONS = {"EQ": operator.eq, "GE": operator.ge, "LE": operator.le}
_HEADERS = (("x-forwarded-client-cert", "Hash=1"), ("via", "1.1 a"), ("x-early", "1"))
_SLASHES = ("/%2F", "/a%2fb", "/%5C", "/a%5cb/c")


def add_settings(listener: dict[str, Any], level: int, seed: int) -> None:
    """Set fields of the connection manager of a generated listener.

    Args:
        listener: as JSON data.
        level: of the case.
        seed: of the case.
    """
    draw = random.Random(f"manager/{listener['name']}/{seed}")
    if level < FEWEST_LEVEL:
        return
    (hcm,) = (one["typed_config"] for one in listener["filter_chains"][0]["filters"])
    if draw.random() < 0.5:
        hcm["forward_client_cert_details"] = draw.choice(_FORWARDS)
        hcm["set_current_client_cert_details"] = {"subject": True, "uri": True}
    if draw.random() < 0.2:
        hcm["server_name"] = draw.choice(("edge", "front/1"))
    if draw.random() < 0.2:
        hcm["via"] = draw.choice(("proxy", "1.1 proxy"))
    if draw.random() < 0.2:
        hcm["path_with_escaped_slashes_action"] = draw.choice(_ACTIONS)
    if draw.random() < 0.1:
        removal = {"@type": EARLY, "mutations": [{"remove": "x-early"}]}
        hcm["early_header_mutation_extensions"] = [{"name": "early", "typed_config": removal}]
    if draw.random() < 0.15:
        hcm["local_reply_config"] = _local_reply(draw)


def _local_reply(draw: random.Random) -> dict[str, Any]:
    comparison = {"op": draw.choice(tuple(_COMPARISONS)), "value": {"default_value": 404, "runtime_key": "none"}}
    mapper = {
        "filter": {"status_code_filter": {"comparison": comparison}},
        "headers_to_add": [{"header": {"key": "x-reply", "value": "%RESPONSE_CODE%"}}],
        **({"status_code": draw.choice((403, 404, 410))} if draw.random() < 0.5 else {}),
        **({"body": {"inline_string": "own $1"}} if draw.random() < 0.5 else {}),
    }
    style = draw.choice(({"text_format": "<%LOCAL_REPLY_BODY%>"}, {"json_format": {"said": "%LOCAL_REPLY_BODY%"}}))
    return {"mappers": [mapper], **({"body_format": style} if draw.random() < 0.5 else {})}


def reply_status(hcm: dict[str, Any], status: int) -> int:
    """Give the status that a generated connection manager gives to a local reply."""
    for mapper in hcm.get("local_reply_config", {}).get("mappers", ()):
        comparison = mapper["filter"]["status_code_filter"]["comparison"]
        if _COMPARISONS[comparison["op"]](status, comparison["value"]["default_value"]):
            return int(mapper.get("status_code", status))
    return status


def with_settings(request: WireRequest, level: int, seed: int, number: int) -> WireRequest:
    """Give a request that what connection managers do matters to."""
    draw = random.Random(f"manager/{level}/{seed}/{number}")
    if level < FEWEST_LEVEL:
        return request
    headers = tuple(pair for pair in _HEADERS if draw.random() < 0.15)
    path, mark, query = request.target.partition("?")
    if level > FEWEST_LEVEL and draw.random() < 0.03:
        path += draw.choice(_SLASHES)
    return dataclasses.replace(request, headers=(*request.headers, *headers), target=f"{path}{mark}{query}")
