"""What the real Envoy makes of x-forwarded-client-cert where clients have certificates, beside what is translated."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from schemas import xds
from tests.golden.case import units_of
from tests.oracle.envoy_process import envoy, held_ports, upstreams
from tests.oracle.generate import HCM, ROUTER
from tests.oracle.wire import read_response, request_bytes
from tests.translators.certificate_factory import make_pair
from translators import translate

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "x-forwarded-client-cert"
SENT = "Hash=forged"


def _listener(port: int, forward: str, *, is_required: bool) -> dict[str, Any]:
    server, client = make_pair("server.example"), make_pair("client.example")
    certificate = {
        "certificate_chain": {"inline_string": server.cert},
        "private_key": {"inline_string": server.key},
    }
    context = {
        "@type": xds.DOWNSTREAM_TLS_CONTEXT,
        "require_client_certificate": is_required,
        "common_tls_context": {
            "tls_certificates": [certificate],
            "validation_context": {"trusted_ca": {"inline_string": client.cert}},
        },
    }
    hosts = [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c0"}}]}]
    hcm = {
        "@type": HCM,
        "stat_prefix": "x",
        "forward_client_cert_details": forward,
        "set_current_client_cert_details": {"subject": True, "cert": True},
        "route_config": {"name": "r", "virtual_hosts": hosts},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    chain = {
        "name": "main",
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": f"l{port}", "address": address, "filter_chains": [chain]}


async def _seen(port: int, directory: Path, *, has_certificate: bool) -> list[str]:
    """Ask with a forged header; give the lines of it that the upstream saw."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if has_certificate:
        pair = make_pair("client.example")
        file = directory / "client.pem"
        file.write_text(pair.cert + pair.key)
        context.load_cert_chain(file)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(request_bytes("GET", "/", [("host", "a"), (HEADER, SENT)]))
    answer = await read_response(reader, "GET")
    writer.close()
    return [value for name, value in json.loads(answer.body)["headers"] if name == HEADER]


CASES = [
    ("SANITIZE", True, True),
    ("FORWARD_ONLY", True, True),
    ("FORWARD_ONLY", False, False),
    ("FORWARD_ONLY", False, True),
    ("ALWAYS_FORWARD_ONLY", False, False),
    ("SANITIZE_SET", True, True),
    ("SANITIZE_SET", False, False),
    ("APPEND_FORWARD", True, True),
    ("APPEND_FORWARD", False, False),
]


@pytest.mark.parametrize(("forward", "is_required", "has_certificate"), CASES)
async def test_the_forged_element_passes_where_it_passes_in_envoy(
    forward: str,
    is_required: bool,  # noqa: FBT001 - a column of a table
    has_certificate: bool,  # noqa: FBT001 - a column of a table
    tmp_path: Path,
):
    with held_ports(1) as (port,):
        listener = _listener(port, forward, is_required=is_required)
        async with upstreams(["c0"]) as running:
            document = {"listeners": [listener], "clusters": running.clusters()}
            async with envoy(document, tmp_path):
                lines = await _seen(port, tmp_path, has_certificate=has_certificate)
            own = _translated(document)
    is_kept, written = _carried(own, port, has_certificate=has_certificate)
    assert any(SENT in line for line in lines) == is_kept
    assert any("Subject=" in line for line in lines) == bool(written)
    if written:
        variables = {"ssl_client_escaped_cert": quote(make_pair("client.example").cert, safe="")}
        variables["ssl_client_s_dn"] = "CN=client.example"
        for name, value in variables.items():
            written = written.replace(f"${{{name}}}", value)
        assert lines[-1].endswith(f";{written}")


def _translated(document: dict[str, Any]) -> dict[str, Any]:
    bundles = [translate(unit) for unit in units_of({"static_resources": document})]
    return {found.key: json.loads(found.value) for bundle in bundles for found in bundle.objects}


def _carried(objects: dict[str, Any], port: int, *, has_certificate: bool) -> tuple[bool, str]:
    """Tell whether the client's element is kept, and what is written beside it."""
    meta = objects["/global_rules/xds"]["plugins"].get("proxy-rewrite", {}).get("_meta", {}).get("filter", [])
    verified = [["!AND", ["server_port", "==", str(port)], ["ssl_client_verify", "==", "SUCCESS"]]]
    assert meta in ([], [["server_port", "~=", str(port)]], verified)
    is_kept = bool(meta) and (meta != verified or has_certificate)
    (route,) = (value for key, value in objects.items() if key.startswith("/routes/"))
    headers = route.get("plugins", {}).get("proxy-rewrite", {}).get("headers", {})
    return is_kept, str({**headers.get("add", {}), **headers.get("set", {})}.get(HEADER, ""))
