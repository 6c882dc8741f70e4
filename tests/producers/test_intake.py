from __future__ import annotations

from producers.intake import Intake
from producers.source import Changes, ResourceChange
from schemas import xds
from tests.producers.scene import cluster, pair_secret, removal, route, route_configuration, seal, secret, virtual_host
from tests.translators.certificate_factory import make_pair

NOW_MS = 1_700_000_000_000

HOSTS = [virtual_host(name, [name], route("c")) for name in ("one", "two")]


def admit(intake: Intake, *changes: ResourceChange, is_complete=False, covers=None):
    return intake.admit(Changes(changes, is_complete, "source", covers)).replacements


def test_what_is_repeated_is_dropped():
    intake = Intake(seal)
    assert len(admit(intake, cluster("a"))) == 1
    assert admit(intake, cluster("a")) == ()


def test_a_complete_set_removes_what_it_lacks_of_the_types_it_covers():
    intake = Intake(seal)
    admit(intake, cluster("a"), cluster("b"), secret("s"))
    [gone] = admit(intake, cluster("b"), is_complete=True, covers=frozenset({xds.CLUSTER}))
    assert (gone.key, gone.entry) == ((xds.CLUSTER, "a"), None)
    assert {gone.key.name for gone in admit(intake, is_complete=True)} == {"b", "s"}


def test_removing_what_is_not_there_is_nothing():
    assert admit(Intake(seal), removal(xds.CLUSTER, "a")) == ()


def test_no_private_key_gets_past():
    [admitted] = admit(Intake(seal), secret("s", "very private"))
    assert b"very private" not in admitted.entry.body
    assert admitted.entry.message.tls_certificate.private_key.inline_string == seal(b"very private")
    assert admitted.entry.message.tls_certificate.certificate_chain.inline_string == "chain"


def test_the_source_keeps_its_message():
    given = secret("s", "very private")
    admit(Intake(seal), given)
    assert given.body.tls_certificate.private_key.inline_string == "very private"


def test_without_a_seal_values_stay_in_the_clear():
    [admitted] = admit(Intake(None), secret("s", "very private"))
    assert admitted.entry.message.tls_certificate.private_key.inline_string == "very private"


def test_equal_virtual_hosts_are_not_sealed_again():
    intake = Intake(seal)
    [first] = admit(intake, route_configuration("r", *HOSTS))
    kept = dict(intake._virtual_hosts["r"])
    [second] = admit(intake, route_configuration("r", HOSTS[1], virtual_host("new", ["new"])))
    assert [host.name for host in second.entry.message.virtual_hosts] == ["two", "new"]
    assert len(intake._virtual_hosts["r"].keys() & kept.keys()) == 1
    assert first.entry.body == xds.canonical_bytes(route_configuration("r", *HOSTS).body)


def test_a_type_that_nobody_knows_is_kept_by_name_only():
    body = xds.message_class("google.protobuf.Any")(type_url="type.googleapis.com/x.Y", value=b"may be secret")
    [admitted] = admit(Intake(seal), ResourceChange("type.googleapis.com/x.Y", "n", body))
    assert admitted.entry.body == b""


def test_a_resource_nested_beyond_reason_is_a_problem_and_the_others_are_taken():
    message = xds.message_class(xds.CLUSTER)(name="deep")
    inner = message
    for _ in range(600):
        inner = xds.pack(inner)
    message.metadata.typed_filter_metadata["x"].CopyFrom(inner)
    deep = ResourceChange(xds.CLUSTER, "deep", message)
    admission = Intake(seal).admit(Changes((deep, cluster("a")), is_complete=False, source="source"))
    assert [replacement.key.name for replacement in admission.replacements] == ["a"]
    [problem] = admission.problems
    assert str(problem).startswith("source: Cluster deep: nested too deeply (")


def test_a_pair_that_does_not_fit_keeps_the_last_good_one():
    intake, pair = Intake(seal), make_pair()
    good, bad = pair_secret("s", pair), pair_secret("s", pair, make_pair("other").key)
    assert len(intake.admit(Changes((good,), is_complete=True, source="source"), NOW_MS).replacements) == 1
    admission = intake.admit(Changes((bad,), is_complete=True, source="source"), NOW_MS)
    assert admission.replacements == ()
    assert [str(problem).partition(": the")[0] for problem in admission.problems] == [
        "source: Secret s: tls_certificate: SEC-KEYPAIR"
    ]
    assert intake.refused == {xds.SECRET}
    assert intake.admit(Changes((bad,), is_complete=False, source="source"), NOW_MS) == ((), (), ())
    assert intake.admit(Changes((good,), is_complete=False, source="source"), NOW_MS) == ((), (), ())
    assert intake.refused == frozenset()


def test_a_refused_resource_may_go():
    intake, pair = Intake(seal), make_pair()
    bad = pair_secret("s", pair, make_pair("other").key)
    intake.admit(Changes((bad,), is_complete=True, source="source"), NOW_MS)
    intake.admit(Changes((), is_complete=True, source="source", covers=frozenset({xds.CLUSTER})), NOW_MS)
    assert intake.refused == {xds.SECRET}
    intake.admit(Changes((), is_complete=True, source="source"), NOW_MS)
    assert intake.refused == frozenset()
    intake.admit(Changes((bad,), is_complete=False, source="source"), NOW_MS)
    intake.admit(Changes((removal(xds.SECRET, "s"),), is_complete=False, source="source"), NOW_MS)
    assert intake.refused == frozenset()


def test_an_expired_certificate_is_noted_and_taken():
    changes = Changes((pair_secret("s", make_pair()),), is_complete=True, source="source")
    admission = Intake(seal).admit(changes, NOW_MS * 10)
    assert len(admission.replacements) == 1
    [note] = admission.notes
    assert (note.code, note.type_url, note.name, note.path) == (
        "SEC-EXPIRED",
        xds.SECRET,
        "s",
        "tls_certificate.certificate_chain",
    )
