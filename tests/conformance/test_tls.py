"""TLS on the agent's port, over real sockets (contract rule 1, test T10)."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest

from agent import server as server_module
from agent.wire.certificate import TLSContext
from tests.conformance.authority import Authority
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import Shop, running_agent
from tests.conformance.watch_client import Client, range_body, read_answer, request

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 10.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def peer_certificate(port: int, context: ssl.SSLContext) -> bytes:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return found


@pytest.mark.parametrize(
    ("version", "alpn"),
    [
        (ssl.TLSVersion.TLSv1_2, ()),
        (ssl.TLSVersion.TLSv1_3, ()),
        (ssl.TLSVersion.TLSv1_3, ("http/1.1",)),
        (ssl.TLSVersion.TLSv1_3, ("unknown",)),
    ],
)
async def test_clients_without_sni_and_with_any_alpn_are_served(
    client: Client, shop: Shop, authority: Authority, tmp_path: Path, *, version: ssl.TLSVersion, alpn: tuple[str, ...]
):
    client.tls = authority.client(alpn=alpn)
    client.tls.minimum_version = client.tls.maximum_version = version
    async with running_agent(shop.log, tmp_path / "state", tls=TLSContext(authority.issue("agent"))) as port:
        await until_ready(client, port)
        assert (await client.range(port))["count"] == "16"
        watch = await client.watch(port)
        await shop.route("2")
        (event,) = await watch.events(1)
        assert event.key == b"/apisix/routes/2"


async def test_a_certificate_is_renewed_under_an_open_watch(
    client: Client, shop: Shop, authority: Authority, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(server_module, "CERTIFICATE_CHECK_S", 0.01)
    client.tls = authority.client()
    async with running_agent(shop.log, tmp_path / "state", tls=TLSContext(authority.issue("agent"))) as port:
        await until_ready(client, port)
        watch = await client.watch(port)
        before = await peer_certificate(port, client.tls)
        authority.issue("agent")
        async with asyncio.timeout(DEADLINE_S):
            while await peer_certificate(port, client.tls) == before:
                pass
        await shop.route("2")
        assert len(await watch.events(1)) == 1


async def test_an_authority_that_is_exchanged_counts_for_new_connections(
    client: Client, shop: Shop, authority: Authority, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(server_module, "CERTIFICATE_CHECK_S", 0.01)
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    files = authority.issue("agent")._replace(client_ca=tmp_path / "ca", is_client_certificate_required=True)
    (tmp_path / "ca").write_bytes(old.certificate.read_bytes())
    client.tls = authority.client(old.issue("node"))
    async with running_agent(shop.log, tmp_path / "state", tls=TLSContext(files)) as port:
        await until_ready(client, port)
        watch = await client.watch(port)
        (tmp_path / "ca").write_bytes(new.certificate.read_bytes())
        async with asyncio.timeout(DEADLINE_S):
            while await is_served(client, port):
                pass
        client.tls = authority.client(new.issue("node"))
        assert await is_served(client, port)
        await shop.route("2")
        assert len(await watch.events(1)) == 1


async def is_served(client: Client, port: int) -> bool:
    """Tell whether the agent answers; a refusal may come as an alert or, after it, as a reset."""
    try:
        return (await client.ask(port, "/version", method="GET")).status == 200
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return False


@pytest.mark.parametrize("is_required", [True, False])
async def test_client_certificates(
    client: Client,
    shop: Shop,
    authority: Authority,
    tmp_path: Path,
    caplog,
    *,
    is_required: bool,
):
    files = authority.issue("agent")._replace(
        client_ca=authority.certificate, is_client_certificate_required=is_required
    )
    stranger = Authority(tmp_path, "stranger")
    async with running_agent(shop.log, tmp_path / "state", tls=TLSContext(files)) as port:
        client.tls = authority.client(authority.issue("node"))
        await until_ready(client, port)
        assert (await client.range(port))["count"] == "16"
        client.tls = authority.client(stranger.issue("spy"))
        assert not await is_served(client, port)
        client.tls = authority.client()
        assert await is_served(client, port) is not is_required
    assert caplog.text.count("TLS with 127.0.0.1 failed") == 1 + is_required


async def test_plain_requests_get_a_plain_answer_and_fill_no_log(
    client: Client, shop: Shop, authority: Authority, tmp_path: Path, caplog
):
    async with running_agent(shop.log, tmp_path / "state", tls=TLSContext(authority.issue("agent"))) as port:
        for _ in range(20):
            answer = await client.ask(port, "/version", method="GET")
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert answer.body.endswith(b"this port speaks TLS: use https://\n")
    assert caplog.text.count("does not speak TLS") == 1


async def test_tls_on_a_plain_port_gets_a_plain_answer(port: int, authority: Authority, caplog):
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("127.0.0.1", port, ssl=authority.client())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    answer = await read_answer(reader)
    assert answer.status == 400
    assert answer.body.endswith(b"this port does not speak TLS: use http://, or set agent.tls\n")
    writer.close()
    await writer.wait_closed()
    assert not caplog.records


async def test_a_client_that_reads_late_gets_everything(
    client: Client, shop: Shop, authority: Authority, tmp_path: Path
):
    await shop.put("big", {"/routes/big": b'{"desc":"%b"}' % (b"x" * 200_000)})
    client.tls = authority.client()
    async with running_agent(shop.log, tmp_path / "state", tls=TLSContext(authority.issue("agent"))) as port:
        await until_ready(client, port)
        reader, writer = await client.connect(port)
        for _ in range(40):
            writer.write(request("POST", "/v3/kv/range", range_body()))
        bodies = {(await read_answer(reader)).body for _ in range(40)}
        assert len(bodies) == 1


async def test_watches_are_closed_when_the_agent_stops(
    client: Client, shop: Shop, authority: Authority, tmp_path: Path
):
    client.tls = authority.client()
    async with running_agent(shop.log, tmp_path / "state", tls=TLSContext(authority.issue("agent"))) as port:
        await until_ready(client, port)
        watches = [await client.watch(port) for _ in range(5)]
    assert all([await watch.is_closed() for watch in watches])
