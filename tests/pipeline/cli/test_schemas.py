from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.cli.role_options import configured_log
from pipeline.cli.schemas import read_reference
from pipeline.cli.translator import translator_options
from pipeline.settings import SettingsError, load_settings
from tests.pipeline.cli.conftest import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Meshferry = Callable[..., Outcome]
DUMP = {
    "main": {
        "route": {
            "type": "object",
            "required": {},
            "properties": {name: {} for name in ("uris", "hosts", "vars", "name", "labels", "priority", "plugins")},
            "additionalProperties": False,
        },
        "upstream": {"type": "object"},
    },
    "plugins": {name: {"schema": {}} for name in ("fault-injection", "prometheus", "proxy-rewrite", "request-id")},
    "stream-plugins": {},
}
ENVOY = {
    "listeners": [
        {
            "name": "web",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 80}},
            "filter_chains": [
                {
                    "name": "main",
                    "filters": [
                        {
                            "name": "hcm",
                            "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.filters.network."
                                "http_connection_manager.v3.HttpConnectionManager",
                                "stat_prefix": "web",
                                "route_config": {
                                    "name": "routes",
                                    "virtual_hosts": [
                                        {
                                            "name": "shop",
                                            "domains": ["shop.example"],
                                            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}],
                                        }
                                    ],
                                },
                            },
                        }
                    ],
                }
            ],
        }
    ],
    "clusters": [{"name": "backend", "type": "STATIC"}],
}


@contextmanager
def control_api(body: bytes, status: int = 200) -> Iterator[str]:
    """Serve what a control API might; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/v1/schema"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with _served(HTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


@contextmanager
def _served(server: socketserver.TCPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_schemas_of_a_node_go_into_a_file(meshferry: Meshferry, tmp_path: Path):
    path = tmp_path / "schemas.json"
    path.write_text("old")
    with control_api(json.dumps(DUMP).encode()) as address:
        found = meshferry("schemas", "pull", address, "--to", path)
        printed = meshferry("schemas", "pull", f"{address}/v1/schema/", "--to", "-")
    assert (found.code, found.out) == (0, "")
    assert json.loads(path.read_bytes()) == DUMP
    assert (printed.code, printed.data()) == (0, DUMP)
    assert [entry.name for entry in tmp_path.iterdir()] == ["schemas.json"], "nothing is left beside the file"
    assert read_reference(str(path), "x") is not None
    assert read_reference("", "x") is None


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"<html>", 200, "/v1/schema: not JSON: "),
        (b"{}", 200, "/v1/schema: no schemas of APISIX: `main.route` and `main.upstream` are wanted"),
        (
            json.dumps({**DUMP, "plugins": {"a": {"schema": {"type": 1}}}}).encode(),
            200,
            "/v1/schema: plugins.a is no schema: ",
        ),
        (b"", 404, "/v1/schema: answers 404; give the control API of APISIX"),
    ],
)
def test_what_answers_otherwise_is_65_and_one_line(
    meshferry: Meshferry, tmp_path: Path, body: bytes, status: int, message: str
):
    path = tmp_path / "schemas.json"
    with control_api(body, status) as address:
        found = meshferry("schemas", "pull", address, "--to", path)
    assert found.code == 65
    assert found.line().startswith(address + message)
    assert "http://127.0.0.1:9090" in found.line()
    assert not path.exists()


def test_what_does_not_speak_http_is_65(meshferry: Meshferry, tmp_path: Path):
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"\x00\x00\x00\x04\x00\n")

    with _served(socketserver.TCPServer(("127.0.0.1", 0), Handler)) as address:
        found = meshferry("schemas", "pull", address, "--to", tmp_path / "x")
    assert (found.code, "/v1/schema: does not speak HTTP; " in found.line()) == (65, True)


def test_where_nothing_answers_is_69(meshferry: Meshferry, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = meshferry("schemas", "pull", f"http://127.0.0.1:{port}", "--to", tmp_path / "x")
    assert found.code == 69
    assert found.line().startswith(f"http://127.0.0.1:{port}/v1/schema: Connection refused; give the control API")


@pytest.mark.parametrize("url", ["127.0.0.1:9090", "ftp://a", "http://", "http://a:b", "http://a:99999", "file:///etc"])
def test_an_address_that_is_none_is_64(meshferry: Meshferry, url: str):
    found = meshferry("schemas", "pull", url)
    assert found.code == 64
    assert found.line().startswith(f"{url}: not http://HOST:PORT; ")


def test_a_file_that_cannot_be_written_is_1(meshferry: Meshferry):
    with control_api(json.dumps(DUMP).encode()) as address:
        found = meshferry("schemas", "pull", address, "--to", "/dev/null/x")
    assert found.code == 1
    assert found.line().endswith(": Not a directory")


def test_translations_are_validated_as_the_node_would(meshferry: Meshferry, tmp_path: Path):
    """The node has no field `timeout` and `upstream_id` in routes: those that need one deny."""
    schemas, envoy = tmp_path / "schemas.json", tmp_path / "envoy.json"
    schemas.write_text(json.dumps(DUMP))
    envoy.write_text(json.dumps({"static_resources": ENVOY}))
    found = meshferry("translate", envoy, "--schemas", schemas)
    assert found.code == 0
    refused = [entry for entry in found.data()["diagnostics"] if entry["code"] == "OUT-SCHEMA"]
    assert [entry["xds"]["path"] for entry in refused] == ["virtual_hosts[shop].routes[0]"]
    routes = [value for key, value in found.data()["resources"].items() if key.startswith("/routes/")]
    assert {route["plugins"]["fault-injection"]["abort"]["http_status"] for route in routes} == {404, 503}
    assert meshferry("translate", envoy).data()["diagnostics"] == [
        entry for entry in found.data()["diagnostics"] if entry["code"] != "OUT-SCHEMA"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory; make it with `meshferry schemas pull`"),
        ("[]", "no schemas of APISIX: "),
    ],
)
def test_schemas_that_are_none_are_78(meshferry: Meshferry, tmp_path: Path, text: str | None, message: str):
    path = tmp_path / "schemas.json"
    if text is not None:
        path.write_text(text)
    (tmp_path / "envoy.json").write_text(json.dumps({"static_resources": ENVOY}))
    found = meshferry("translate", tmp_path / "envoy.json", "--schemas", path)
    assert found.code == 78
    assert found.line().startswith(f"--schemas: {path}: {message}")
    with pytest.raises(SettingsError, match=r"^translator\.schemas: "):
        read_reference(str(path), "translator.schemas")


def test_the_settings_of_the_translator_name_the_file(meshferry: Meshferry, settings: Path, tmp_path: Path):
    settings.write_text(settings.read_text() + f"translator: {{schemas: '{tmp_path}/none.json'}}\n")
    found = meshferry("translator", "--settings", settings)
    assert found.code == 78
    assert "translator.schemas: " in found.err


def test_schemas_that_are_read_again_make_a_difference_only_when_they_differ(settings: Path, tmp_path: Path):
    path = tmp_path / "schemas.json"
    path.write_text(json.dumps(DUMP))
    tree = load_settings(str(settings), {"MESHFERRY_TRANSLATOR__SCHEMAS": str(path)})
    log = configured_log(tree)
    first, again = translator_options(tree, ["edge"], log), translator_options(tree, ["edge"], log)
    path.write_text(json.dumps({**DUMP, "stream-plugins": {"limit-conn": {}}}))
    other = translator_options(tree, ["edge"], log)
    assert first == again != other
