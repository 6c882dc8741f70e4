from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from producers.files.assembly import Assembled, Assembly
from schemas import xds

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 20
BOOTSTRAP = """\
dynamic_resources:
  cds_config: {path_config_source: {path: cds.yaml}}
  lds_config: {path: lds.json}
"""


def response(type_url: str, *resources: dict[str, Any]) -> str:
    """A DiscoveryResponse; JSON is YAML, too."""
    return json.dumps({"version_info": "7", "resources": [{"@type": type_url, **found} for found in resources]})


def followed(path: str) -> dict[str, Any]:
    return {"path_config_source": {"path": path}}


def eds(name: str) -> dict[str, Any]:
    return {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": followed(f"eds-{name}.yaml")}}


def assignment(name: str) -> str:
    return response(xds.CLUSTER_LOAD_ASSIGNMENT, {"cluster_name": name})


def listener() -> dict[str, Any]:
    hcm = {"@type": xds.HTTP_CONNECTION_MANAGER, "stat_prefix": "s"}
    hcm["rds"] = {"route_config_name": "r", "config_source": followed("rds.yaml")}
    sds = {"tls_certificate_sds_secret_configs": [{"name": "cert", "sds_config": followed("sds.yaml")}]}
    tls = {"@type": xds.DOWNSTREAM_TLS_CONTEXT, "common_tls_context": sds}
    chain = {
        "filters": [{"name": "hcm", "typed_config": hcm}],
        "transport_socket": {"name": "tls", "typed_config": tls},
    }
    return {"name": "l", "filter_chains": [chain]}


class Folder:
    """A bootstrap with filesystem subscriptions, and what is read from it."""

    def __init__(self, path: Path, *, is_strict: bool = True) -> None:
        self.path = path
        for name, text in {
            "envoy.yaml": BOOTSTRAP,
            "cds.yaml": response(xds.CLUSTER, eds("a"), eds("b")),
            "lds.json": response(xds.LISTENER, listener()),
            "eds-a.yaml": assignment("a"),
            "eds-b.yaml": assignment("b"),
            "rds.yaml": response(xds.ROUTE_CONFIGURATION, {"name": "r"}),
            "sds.yaml": response(
                xds.SECRET, {"name": "cert", "tls_certificate": {"certificate_chain": {"filename": "chain.pem"}}}
            ),
            "chain.pem": "chain",
        }.items():
            self.write(name, text)
        self.assembly = Assembly(path / "envoy.yaml", MAX_BYTES, is_strict=is_strict)

    def write(self, name: str, text: str) -> None:
        """Replace a file."""
        (self.path / f".{name}").write_text(text)
        (self.path / f".{name}").rename(self.path / name)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def names(found: Assembled) -> set[str]:
    return {f"{change.type_url.rpartition('.')[2]}/{change.name}" for change in found.resources}


def problems(found: Assembled) -> list[str]:
    return [str(problem) for problem in found.problems]


EVERYTHING = {
    "Cluster/a",
    "Cluster/b",
    "Listener/l",
    "ClusterLoadAssignment/a",
    "ClusterLoadAssignment/b",
    "RouteConfiguration/r",
    "Secret/cert",
}


def test_every_subscription_is_followed(folder: Folder):
    found = folder.assembly.read()
    assert (names(found), problems(found), found.is_whole) == (EVERYTHING, [], True)
    assert {change.version_info for change in found.resources} == {"7"}
    [secret] = [change.body for change in found.resources if change.type_url == xds.SECRET]
    assert secret.tls_certificate.certificate_chain.inline_string == "chain"
    assert {path.name for path in folder.assembly.identities} == {
        *("envoy.yaml", "cds.yaml", "lds.json", "eds-a.yaml", "eds-b.yaml", "rds.yaml", "sds.yaml", "chain.pem")
    }


@pytest.mark.parametrize("text", ["resources: [\n", "", None], ids=["half-written", "empty", "missing"])
def test_a_part_in_trouble_has_its_last_good_state_and_the_others_go_on(folder: Folder, text):
    folder.assembly.read()
    if text is None:
        (folder.path / "eds-a.yaml").unlink()
    else:
        folder.write("eds-a.yaml", text)
    folder.write("eds-b.yaml", response(xds.CLUSTER_LOAD_ASSIGNMENT, {"cluster_name": "b"}, {"cluster_name": "new"}))
    found = folder.assembly.read()
    assert (names(found), found.is_whole) == (EVERYTHING | {"ClusterLoadAssignment/new"}, True)
    [problem] = problems(found)
    assert problem.startswith(str(folder.path / "eds-a.yaml"))
    folder.write("eds-a.yaml", assignment("other"))
    found = folder.assembly.read()
    assert problems(found) == []
    assert "ClusterLoadAssignment/a" not in names(found)


def test_a_file_of_certificates_that_is_missing_keeps_the_secret(folder: Folder):
    folder.assembly.read()
    (folder.path / "chain.pem").unlink()
    found = folder.assembly.read()
    [secret] = [change.body for change in found.resources if change.type_url == xds.SECRET]
    assert secret.tls_certificate.certificate_chain.inline_string == "chain"
    assert "cannot read chain.pem" in problems(found)[0]


def test_without_a_last_good_state_the_set_is_not_whole(folder: Folder):
    (folder.path / "eds-a.yaml").unlink()
    assert not folder.assembly.read().is_whole
    folder.write("eds-a.yaml", assignment("a"))
    assert folder.assembly.read().is_whole


def test_a_broken_bootstrap_forgets_no_part(folder: Folder):
    folder.assembly.read()
    folder.write("envoy.yaml", "dynamic_resources: [")
    assert not folder.assembly.read().is_whole
    folder.write("envoy.yaml", BOOTSTRAP)
    (folder.path / "rds.yaml").unlink()
    found = folder.assembly.read()
    assert (names(found), found.is_whole) == (EVERYTHING, True)


def test_what_has_not_changed_is_not_read_again(folder: Folder):
    before = {(change.type_url, change.name): change for change in folder.assembly.read().resources}
    folder.write("eds-b.yaml", assignment("b"))
    after = {(change.type_url, change.name): change for change in folder.assembly.read().resources}
    assert [key for key in before if before[key] is not after[key]] == [(xds.CLUSTER_LOAD_ASSIGNMENT, "b")]


def test_files_that_name_each_other_are_read_once(folder: Folder):
    folder.write(
        "eds-a.yaml", response(xds.CLUSTER, {**eds("c"), "eds_cluster_config": {"eds_config": followed("cds.yaml")}})
    )
    assert "Cluster/c" in names(folder.assembly.read())


def test_a_directory_is_the_union_of_its_files(tmp_path: Path):
    (tmp_path / "cds.yaml").write_text(response(xds.CLUSTER, {"name": "a"}, {"name": "b"}))
    (tmp_path / "more.json").write_text(response(xds.CLUSTER, {"name": "b", "lb_policy": "RANDOM"}, {"name": "c"}))
    (tmp_path / "README.md").write_text("not a resource")
    (tmp_path / ".hidden.yaml").write_text("[")
    (tmp_path / "folder.yaml").mkdir()
    assembly = Assembly(tmp_path, MAX_BYTES, is_strict=True)
    found = assembly.read()
    assert (names(found), found.is_whole) == ({"Cluster/a", "Cluster/b", "Cluster/c"}, True)
    [note] = found.notes
    assert (note.code, note.name) == ("CFG-INVALID", "b")
    assert "more.json has it with different content" in note.message
    assert tmp_path in assembly.identities
    (tmp_path / "more.json").unlink()
    assert names(assembly.read()) == {"Cluster/a", "Cluster/b"}
    (tmp_path / "cds.yaml").unlink()
    found = assembly.read()
    assert not found.is_whole
    assert problems(found) == [f"{tmp_path}: no .yaml, .yml or .json file in it (put the resources there)"]


def test_offline_a_part_on_another_machine_is_noted(tmp_path: Path):
    folder = Folder(tmp_path, is_strict=False)
    (tmp_path / "rds.yaml").unlink()
    found = folder.assembly.read()
    assert (problems(found), found.is_whole) == ([], True)
    [note] = found.notes
    assert (note.code, note.name) == ("CFG-INVALID", str(tmp_path / "rds.yaml"))


def test_a_bootstrap_with_a_control_plane_follows_no_file(tmp_path: Path):
    path = tmp_path / "envoy.yaml"
    path.write_text("dynamic_resources: {ads_config: {}, cds_config: {ads: {}}}\n")
    found = Assembly(path, MAX_BYTES, is_strict=True).read()
    assert "use an xds source" in problems(found)[0]
