"""Paths and hosts that are rewritten by templates, in the real Envoy and in the translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.single_listener import both

if TYPE_CHECKING:
    from pathlib import Path

PATHS = "type.googleapis.com/envoy.extensions.path."


def template(match: str, rewrite: str) -> dict[str, Any]:
    matched = {"@type": f"{PATHS}match.uri_template.v3.UriTemplateMatchConfig", "path_template": match}
    rewritten = {"@type": f"{PATHS}rewrite.uri_template.v3.UriTemplateRewriteConfig", "path_template_rewrite": rewrite}
    return {
        "match": {"path_match_policy": {"name": "m", "typed_config": matched}},
        "route": {"cluster": "one", "path_rewrite_policy": {"name": "r", "typed_config": rewritten}},
    }


def plain(prefix: str, **action: str) -> dict[str, Any]:
    return {"match": {"prefix": prefix}, "route": {"cluster": "one", **action}}


ROUTES = [
    plain("/format", path_rewrite="/x/%REQ(x-h)%"),
    plain("/literal", path_rewrite="/x$y?z=1"),
    plain("/host", host_rewrite="literal.com"),
    template("/t/{first}/{rest=**}", "/new/{rest}/{first}$"),
    template("/u/*/{both=x/*}", "/new{both}"),
]
TARGETS = ("/format?q=1", "/format/a", "/literal", "/host?q", "/t/1/2/3?q", "/t/1/", "/t/1", "/t/a%20b/~", "/u/z/x/y")


async def test_templates_rewrite_alike(tmp_path: Path):
    routing = {"route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": ROUTES}]}}
    async with both(routing, ("one",), tmp_path) as side:
        for target in TARGETS:
            await side.assert_alike(target, x_h="value")
        assert (await side.assert_alike("/t/1/2/3?q")).target == "/new/2/3/1$?q"
        assert (await side.assert_alike("/host")).host == "literal.com"
