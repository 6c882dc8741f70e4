from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.records import Severity
from translators.etcd_object import build_object
from translators.findings import Findings
from translators.policy import Policy
from translators.reference import Reference, SchemasError
from translators.validate import validated
from translators.where import Where

AT = Where("type", "rc", "virtual_hosts[a].routes[0]")
ROUTE: dict[str, Any] = {
    "properties": {
        "uris": {"type": "array", "items": {"type": "string", "pattern": r"^\/(?!admin)"}},
        "labels": {"type": "object", "properties": [], "required": {}},
        "plugins": {"type": "object"},
        "priority": {"enum": {}},
    },
    "required": ["uris"],
    "additionalProperties": False,
}
DUMP: dict[str, Any] = {
    "main": {"route": ROUTE | {"properties": ROUTE["properties"] | {"vars": {}, "upstream_id": {}}}, "upstream": {}},
    "plugins": {
        "fault-injection": {"priority": 11000, "schema": {"type": "object", "required": {}}},
        "key-auth": {"type": "auth", "schema": {"type": "object"}, "consumer_schema": {"required": ["key"]}},
        "gzip": {"schema": {"properties": {"min_length": {"type": "integer"}}, "additionalProperties": False}},
        "bare": {"version": 0.1},
    },
    "stream-plugins": {"limit-conn": {"schema": {"required": ["conn"]}}},
}


def reference(**changed: Any) -> Reference:
    return Reference(orjson.dumps({**DUMP, **changed}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("/routes/x", {"uris": ["/a"], "labels": {"a": "b"}}),
        ("/routes/x", {"uris": ["/a"], "plugins": {"gzip": {"min_length": 1, "_meta": {"priority": 1}}}}),
        ("/routes/x", {"uris": ["/a"], "plugins": {"key-auth": {}, "bare": {}}}),
        ("/stream_routes/x", {"plugins": {"limit-conn": {"conn": 1}}}),
        ("/ssls/x", {"anything": 1}),
    ],
)
def test_what_nodes_take(key: str, value: dict[str, Any]):
    """What Lua writes instead of an empty list is repaired; what the dump says nothing of has no problems."""
    assert reference().problems(key, value) == []


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("/routes/x", {}, "object breaks required"),
        ("/routes/x", {"uris": ["/admin"]}, "uris/0 breaks properties/uris/items/pattern"),
        ("/routes/x", {"uris": ["/a"], "secret": "s3cret"}, "object breaks additionalProperties"),
        (
            "/routes/x",
            {"uris": ["/a"], "plugins": {"gzip": {"min_length": "s3cret"}}},
            "gzip: min_length breaks properties/min_length/type",
        ),
        ("/stream_routes/x", {"plugins": {"limit-conn": {}}}, "limit-conn: object breaks required"),
    ],
)
def test_what_nodes_refuse_is_said_without_quoting_it(key: str, value: dict[str, Any], text: str):
    (found,) = reference().problems(key, value)
    assert found == (text, False)


@pytest.mark.parametrize("directory", ["routes", "stream_routes"])
def test_a_plugin_that_is_not_enabled_would_be_skipped(directory: str):
    (found,) = reference().problems(f"/{directory}/x", {"uris": ["/a"], "plugins": {"brotli": {}}})
    assert found == ("plugin brotli is not enabled", True)
    assert reference(errors={"brotli": "no"}).problems(f"/{directory}/x", {"uris": [], "plugins": {"brotli": {}}}) == []


@pytest.mark.parametrize(
    ("dump", "message"),
    [
        (b"<html>", "not JSON: "),
        (b"[]", "no schemas of APISIX: `main.route` and `main.upstream` are wanted"),
        (b'{"main": {}}', "no schemas of APISIX"),
        (orjson.dumps({**DUMP, "plugins": 1}), "no schemas of APISIX: `plugins` is no mapping"),
        (orjson.dumps({**DUMP, "plugins": {"gzip": {"schema": {"type": "nothing"}}}}), "plugins.gzip is no schema: "),
        (orjson.dumps({**DUMP, "plugins": {"gzip": 1}}), "plugins.gzip is no schema: "),
    ],
)
def test_what_is_no_dump(dump: bytes, message: str):
    with pytest.raises(SchemasError) as raised:
        Reference(dump)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_equal_schemas_are_equal():
    assert reference() == reference()
    assert hash(reference()) == hash(reference())
    assert reference() != reference(errors={"a": "b"})


def test_an_object_that_nodes_would_refuse_denies_in_its_place():
    """A route goes on taking its requests, and any other object is left out; the finding names the source."""
    route = {
        "uris": ["/a"],
        "vars": [["http_a", "==", "b"]],
        "plugins": {"gzip": {"min_length": 1}},
        "upstream_id": "u",
    }
    findings = Findings(Policy())
    only_faults = reference(plugins={"fault-injection": DUMP["plugins"]["fault-injection"]})
    (found,) = validated(
        [build_object("routes", "x", route)], AT, findings, origins={"/routes/x": AT}, reference=only_faults
    )
    value = orjson.loads(found.value)
    assert value["plugins"]["fault-injection"]["abort"]["http_status"] == 503
    assert (value["uris"], value["vars"], "upstream_id" in value) == (route["uris"], route["vars"], False)
    (finding,) = findings.diagnostics()
    assert (finding.code, finding.severity, finding.path) == ("HF-PLUGIN-DISABLED", Severity.ERROR, AT.path)
    assert finding.value == "/routes/x: plugin gzip is not enabled"
    assert "enable the plugin in config.yaml" in finding.remedy


def test_a_denial_that_nodes_would_refuse_too_is_left_out():
    findings = Findings(Policy())
    route = build_object("routes", "x", {"uris": ["/admin"], "plugins": {}})
    assert validated([route], AT, findings, reference=reference()) == ()
    (finding,) = findings.diagnostics()
    assert (finding.code, finding.path) == ("OUT-SCHEMA", "virtual_hosts[a].routes[0].objects[/routes/x]")
    assert "apisix_versions" in finding.remedy
