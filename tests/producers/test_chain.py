from __future__ import annotations

from producers.chain import chain_ids
from schemas import xds
from tests.producers.scene import Scene, listener, rds, removal, secret, tcp, tls


def ids(*chains: dict, **fields) -> list[str]:
    return [chain_id for chain_id, _ in chain_ids(listener("l", *chains, **fields).body)]


def port(number: int) -> dict:
    return {"filter_chain_match": {"destination_port": number}}


def test_a_chain_keeps_its_id_when_others_come_before_it():
    [alone] = ids(rds("r") | port(1))
    assert ids(rds("q") | port(2), rds("other") | port(1))[1] == alone
    assert alone.startswith("sha")


def test_equal_ids_are_told_apart_by_their_order():
    first, second = ids(tcp("a"), tcp("b"))
    assert second == f"{first}~2"
    assert ids(tcp("a") | {"name": "n"}, tcp("b") | {"name": "n"}) == ["n", "n~2"]


def test_the_default_chain_is_called_default_unless_it_has_a_name():
    assert ids(default_filter_chain=rds("r")) == ["default"]
    assert ids(default_filter_chain=rds("r") | {"name": "fallback"}) == ["fallback"]
    assert ids(rds("r") | {"name": "default"}, default_filter_chain=rds("r")) == ["default", "default~2"]


def test_contexts_of_one_sni_set_share_a_unit_over_all_listeners():
    scene = Scene()
    scene.say(listener("l", tls(tcp("a") | {"name": "c"}, "B.example.com", "a.example.com")))
    scene.say(listener("m", tls(tcp("a") | {"name": "c"}, "a.example.com", "b.example.com"), port=81))
    key = "tls/a.example.com,b.example.com"
    assert list(scene.bodies(key, "subject", xds.DOWNSTREAM_TLS_CONTEXT)) == ["l/c", "m/c"]
    assert scene.units[key].params == {"snis": "a.example.com,b.example.com"}
    assert scene.say(secret("cert")) == ["secret/cert", key]
    assert list(scene.bodies(key, "reference", xds.SECRET)) == ["cert"]
    assert scene.say(removal(xds.LISTENER, "l")) == [key, "view", "-stream/l"]
    assert scene.say(removal(xds.LISTENER, "m"))[-1] == f"-{key}"


def test_a_chain_without_server_names_serves_every_name():
    scene = Scene()
    scene.say(listener("l", tls(tcp("a"))))
    assert scene.units["tls/%2A"].params == {"snis": "*"}


def test_a_private_key_inside_a_context_is_sealed():
    scene = Scene()
    chain = tls(tcp("a"))
    certificate = {"private_key": {"inline_string": "very private"}}
    chain["transport_socket"]["typed_config"]["common_tls_context"] = {"tls_certificates": [certificate]}
    scene.say(listener("l", chain))
    assert all(b"very private" not in r.body for unit in scene.units.values() for r in unit.resources)


def test_the_stream_unit_has_the_l4_chains_in_full_and_the_others_as_stubs():
    scene = Scene()
    scene.say(listener("l", tls(tcp("a"), "x"), rds("r") | port(81), default_filter_chain=rds("r")))
    shown = scene.bodies("stream/l", "subject", xds.LISTENER)["l"]
    assert [len(chain.filters) for chain in (*shown.filter_chains, shown.default_filter_chain)] == [1, 0, 0]
    assert not xds.unpack(shown.filter_chains[0].transport_socket.typed_config).HasField("common_tls_context")
    assert shown.filter_chains[1].filter_chain_match.destination_port.value == 81


def test_a_listener_of_http_chains_only_has_no_stream_unit_and_one_without_chains_has():
    scene = Scene()
    assert scene.say(listener("l", rds("r"))) == ["view"]
    assert scene.say(listener("m", port=81)) == ["stream/m", "view"]
    assert scene.say(listener("m", rds("r"), port=81)) == ["view", "-stream/m"]


def test_a_damaged_connection_manager_is_an_l4_filter_that_something_diagnoses():
    scene = Scene()
    damaged = listener("l", rds("r"))
    damaged.body.filter_chains[0].filters[0].typed_config.value = b"\xff"
    assert scene.say(damaged) == ["stream/l", "view"]
