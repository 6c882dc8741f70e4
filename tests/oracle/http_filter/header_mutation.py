"""Header mutations by filters in generated cases, together with rules that remove what they have read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random

_NAMES = ("x-h", "x-new", "x-two", "x-up", "x-gone")
_ACTIONS = ("APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD")


def _mutation(draw: Random) -> dict[str, Any]:
    kind = draw.random()
    if kind < 0.2:
        return {"remove": draw.choice(_NAMES)}
    if kind < 0.3:
        return {"remove_on_match": {"key_matcher": {"exact": draw.choice(_NAMES)}}}
    header = {"key": draw.choice(_NAMES), "value": draw.choice(("f", "g", "%PROTOCOL%"))}
    return {"append": {"header": header, "append_action": draw.choice(_ACTIONS)}}


def _mutations(draw: Random) -> dict[str, Any]:
    sides = [side for side in ("request_mutations", "response_mutations") if draw.random() < 0.7]
    return {"mutations": {side: [_mutation(draw) for _ in range(draw.randint(1, 2))] for side in sides}}


def _config(draw: Random) -> dict[str, Any]:
    wins = {"most_specific_header_mutations_wins": True} if draw.random() < 0.3 else {}
    return {"@type": f"{PACKAGE}header_mutation.v3.HeaderMutation", **_mutations(draw), **wins}


def _override(draw: Random) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}header_mutation.v3.HeaderMutationPerRoute", **_mutations(draw)}


def _rules(draw: Random) -> dict[str, Any]:
    rule = {"on_header_present": {"key": "k"}, "header": draw.choice(_NAMES), "remove": draw.random() < 0.7}
    side = draw.choice(("request_rules", "response_rules"))
    return {"@type": f"{PACKAGE}header_to_metadata.v3.Config", side: [rule]}


KIND = Kind("mutation", _config, _override)
METADATA_KIND = Kind("metadata", _rules, _rules)
