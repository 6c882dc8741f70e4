"""The transport against a real grpc.aio server: what is said on the wire, and what survives a broken one."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.settings import IdentitySettings, TLSSettings, XDSSettings
from producers.xds.channel import Server, TLSFiles
from producers.xds.node import build_node
from producers.xds.transport import ADSSource, Lifetime, source_of
from schemas import xds
from tests.peers.ads import ADSPeer
from tests.producers.xds.dialogue import bad_listener, endpoints, listener, routes, secret, wrapped
from tests.producers.xds.follower import DEADLINE_S, Follower
from tests.producers.xds.state import WHOLE


async def test_the_whole_view_arrives_as_one_complete_delivery(peer, follow):
    follower = follow(peer.address)
    await follower.until(lambda: follower.changes)
    (delivery,) = follower.changes
    assert delivery.is_complete
    assert delivery.covers is None
    assert delivery.source == peer.address
    assert follower.names == WHOLE
    assert not follower.problems
    await peer.until(lambda: all(len(peer.acks(type_url)) == 1 for type_url in peer.resources))
    assert peer.requests[0].node.id == "node"


async def test_a_change_arrives_alone(peer, follow):
    follower = follow(peer.address)
    await follower.until(lambda: follower.changes)
    await peer.set(xds.CLUSTER_LOAD_ASSIGNMENT, endpoints("a", 81), endpoints("b"))
    await follower.until(lambda: len(follower.changes) == 2)
    assert [change.name for change in follower.changes[1].changes] == ["a"]
    assert not follower.changes[1].is_complete


async def test_a_version_without_content_is_acknowledged_and_not_delivered(peer, follow):
    follower = follow(peer.address)
    await follower.until(lambda: follower.changes)
    for type_url in peer.resources:
        await peer.bump(type_url)
    await peer.until(lambda: all(len(peer.acks(type_url)) == 2 for type_url in peer.resources))
    assert len(follower.changes) == 1


async def test_a_bad_resource_is_rejected_with_its_reason_and_the_rest_is_taken(peer, follow):
    follower = follow(peer.address)
    await follower.until(lambda: follower.changes)
    await peer.set(xds.LISTENER, bad_listener("l"), listener("m"))
    await peer.until(lambda: peer.nacks(xds.LISTENER))
    nack = peer.nacks(xds.LISTENER)[0]
    assert nack.error_detail.message == "l: address is missing"
    assert nack.version_info == "1"
    await follower.until(lambda: len(follower.changes) == 2)
    assert {name for type_url, name in follower.image if type_url == xds.LISTENER} == {"l", "m"}
    assert "address is missing" in follower.told()[0]


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL])
async def test_a_reset_stream_is_opened_again_with_the_versions_that_were_accepted(peer, follow, code):
    follower = follow(peer.address)
    await follower.until(lambda: follower.changes)
    await peer.until(lambda: len(peer.acks(xds.SECRET)) == 1)
    count_before = len(peer.requests)
    peer.kick(code)
    await peer.until(lambda: len(peer.requests) >= count_before + 10)
    first = {}
    for request in peer.requests[count_before:]:
        first.setdefault(request.type_url, request)
    assert {request.version_info for request in first.values()} == {"1"}
    assert {request.response_nonce for request in first.values()} == {""}
    assert len(follower.changes) == 1
    assert f"the stream ended: {code.name}" in follower.told()[0]


async def test_a_stopped_server_keeps_the_last_state_and_a_started_one_gives_the_differences(peer, follow):
    follower = follow(peer.address)
    await follower.until(lambda: follower.changes)
    await peer.stop()
    await follower.until(lambda: follower.problems)
    assert follower.names == WHOLE
    await peer.set(xds.ROUTE_CONFIGURATION, routes("r", "b"))
    await peer.start()
    await follower.until(lambda: len(follower.changes) == 2)
    assert [change.name for change in follower.changes[1].changes] == ["r"]
    assert follower.names == WHOLE


async def test_a_time_to_live_runs_out_while_the_control_plane_is_away(peer, follow):
    mortal, *others = peer.resources[xds.CLUSTER].values()
    await peer.set(xds.CLUSTER, wrapped(mortal, ttl_ms=2_000), *others)
    follower = follow(peer.address)
    await follower.until(lambda: follower.names == WHOLE)
    await peer.stop()
    await follower.until(lambda: follower.names["Cluster"] == 1)
    assert "treated as removed" in follower.told()[-1]


async def test_an_unreachable_server_is_one_problem_with_address_and_remedy(peer, follow):
    await peer.stop()
    follower = follow(peer.address)
    await follower.until(lambda: follower.problems)
    (problem,) = follower.problems
    assert problem.place == peer.address
    assert "UNAVAILABLE" in problem.message
    assert "check address, port, TLS settings" in problem.remedy
    assert "\n" not in str(problem)
    await peer.start()
    await follower.until(lambda: follower.changes)
    assert follower.names == WHOLE


async def test_a_server_without_the_service_is_named(follow):
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    follower = follow(f"127.0.0.1:{port}")
    await follower.until(lambda: follower.problems)
    assert "UNIMPLEMENTED" in follower.told()[0]
    assert "is an ADS server's" in follower.told()[0]
    await server.stop(None)


async def test_a_response_above_grpcs_default_limit_is_taken(peer, follow):
    follower = follow(peer.address)
    await follower.until(lambda: follower.changes)
    await peer.set(xds.SECRET, secret("s", content="x" * 5_000_000))
    await follower.until(lambda: len(follower.changes) == 2)


async def test_token_and_metadata_are_sent_and_the_token_is_read_again(peer, follow, tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("first\n")
    follower = follow(peer.address, token_file=str(token_file), metadata=(("x-view", "v"),))
    await follower.until(lambda: follower.changes)
    token_file.write_text("second\n")
    peer.kick()
    await peer.until(lambda: len(peer.metadata) == 2)
    assert [metadata["authorization"] for metadata in peer.metadata] == ["Bearer first", "Bearer second"]
    assert peer.metadata[0]["x-view"] == "v"


@pytest.mark.parametrize("content", [None, "two\nlines", "ünicode"])
async def test_an_unusable_token_file_is_a_problem_without_its_content(peer, follow, tmp_path, content):
    token_file = tmp_path / "token"
    if content is not None:
        token_file.write_text(content)
    follower = follow(peer.address, token_file=str(token_file))
    await follower.until(lambda: follower.problems)
    assert str(token_file) in follower.told()[0]
    assert content is None or content not in follower.told()[0]
    token_file.write_text("good")
    await follower.until(lambda: follower.changes)


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self.name, self.key.public_key(), is_authority=True)
        self.ca = self._write("ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def _write(self, name, content):
        (self.folder / name).write_bytes(content)
        return str(self.folder / name)

    def _sign(self, subject, public_key, *, is_authority):
        now = datetime.now(UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name):
        """Make a certificate for 127.0.0.1; returns the paths of certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), is_authority=False)
        pem = serialization.Encoding.PEM
        plain = serialization.NoEncryption()
        key_bytes = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        return self._write(f"{name}.pem", certificate.public_bytes(pem)), self._write(f"{name}-key.pem", key_bytes)

    def server_credentials(self):
        """What a server for 127.0.0.1 that wants client certificates needs."""
        certificate, key, roots = (Path(path).read_bytes() for path in (*self.issue("server"), self.ca))
        return grpc.ssl_server_credentials([(key, certificate)], roots, require_client_auth=True)


@pytest.fixture
async def tls_peer(peer, tmp_path):
    """The peer behind TLS, wanting a client certificate; gives the peer and its authority."""
    authority = Authority(tmp_path)
    await peer.stop()
    await peer.start(authority.server_credentials())
    return peer, authority


async def test_mutual_tls(tls_peer, follow):
    peer, authority = tls_peer
    certificate, key = authority.issue("client")
    follower = follow(peer.address, tls=TLSFiles(authority.ca, certificate, key))
    await follower.until(lambda: follower.changes)
    assert follower.names == WHOLE


@pytest.mark.parametrize("tls", [None, "no client certificate"])
async def test_a_handshake_that_fails_is_a_problem_not_a_hang(tls_peer, follow, tls):
    peer, authority = tls_peer
    follower = follow(peer.address, tls=tls and TLSFiles(authority.ca))
    await follower.until(lambda: follower.problems)
    assert "UNAVAILABLE" in follower.told()[0]
    assert not follower.changes


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (TLSFiles("/nonexistent/ca.pem"), "/nonexistent/ca.pem: No such file or directory (give a readable CA file)"),
        (TLSFiles(__file__), f"{__file__}: is not PEM (give the CA as a PEM file)"),
        (TLSFiles(cert=__file__), "a client certificate without its key, or the reverse (give both `cert` and `key`)"),
    ],
)
async def test_unusable_tls_files_are_named(peer, follow, tls, words):
    follower = follow(peer.address, tls=tls)
    await follower.until(lambda: follower.problems)
    assert words in follower.told()[0]


async def test_cancelling_the_follower_ends_the_stream_and_leaves_no_task(peer, follow):
    follower = follow(peer.address)
    await follower.until(lambda: follower.changes)
    (stream,) = peer.streams
    await follower.stop()
    async with asyncio.timeout(DEADLINE_S):
        await stream.ended.wait()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("ads ")]


async def test_a_fault_of_our_own_reaches_the_follower(peer):
    """A follower must not wait for ever on a loop that has died."""
    await peer.stop()

    def broken_jitter():
        raise ZeroDivisionError("jitter")

    source = ADSSource(Server(peer.address), build_node("node", "1.0"), jitter=broken_jitter)
    following = Follower(source)._task
    with pytest.raises(ZeroDivisionError, match="jitter"):
        await asyncio.wait_for(following, DEADLINE_S)


async def test_an_unreachable_control_plane_is_stood_in_for_and_returned_to(peer, follow):
    stand_in = ADSPeer()
    stand_in.resources = peer.resources
    await stand_in.start()
    await peer.stop()
    lifetime = Lifetime(return_after_s=0.2)
    follower = follow([Server(peer.address), Server(stand_in.address)], lifetime=lifetime)
    await follower.until(lambda: follower.changes)
    assert follower.problems[0].place == peer.address
    assert follower.changes[0].source == f"{peer.address}, {stand_in.address}"
    await peer.start()
    await peer.until(lambda: peer.acks(xds.SECRET))
    assert follower.source.server.address == peer.address
    assert len(follower.changes) == 1
    await stand_in.stop()


async def test_a_silent_stream_is_opened_again_and_the_ages_are_told(peer, follow):
    follower = follow(peer.address, lifetime=Lifetime(max_silence_s=0.5))
    await follower.until(lambda: follower.problems)
    assert "nothing was heard for 0.5 s; last answers: Cluster " in follower.told()[0]
    await peer.until(lambda: len(peer.metadata) >= 2)
    assert set(follower.source.ages_s()) == set(peer.resources)


def test_a_list_of_control_planes_headers_and_a_profile_are_taken_from_settings():
    settings = XDSSettings(
        server=["cp:1", "cp:2"],
        profile="consul",
        identity=IdentitySettings(name="gw"),
        variant="sotw",
        token_file="t",
        headers={"x-view": "v"},
    )
    source = source_of(settings)
    assert [server.address for server in source._servers] == ["cp:1", "cp:2"]
    assert (source.server.token_header, source.server.token_prefix) == ("x-consul-token", "")
    assert source.server.metadata == (("x-view", "v"),)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"server": []}, "server: empty"),
        ({"server": ["cp:1", "two words"]}, "server: 'two words' is not HOST:PORT"),
        ({"variant": "both"}, "variant: 'both' is none; there are"),
        ({"headers": {"X-View": "v"}}, "headers: 'X-View' is no key of gRPC metadata"),
        ({"headers": {"x-view": "line\nline"}}, "headers.x-view: use printable ASCII"),
        ({"token_header": "x y"}, "headers: 'x y' is no key"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        source_of(XDSSettings(**{"server": "cp:1", "node_id": "n", **settings}))


def test_a_source_is_made_from_settings():
    settings = XDSSettings(server="cp:1", node_id="n", cluster="c", metadata={"A": "b"}, tls=TLSSettings(ca="x"))
    source = source_of(settings)
    assert source.server == Server("cp:1", TLSFiles("x"))
    with pytest.raises(ValueError, match="node id: empty"):
        source_of(XDSSettings(server="cp:1", node_id=""))
