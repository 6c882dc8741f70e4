from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.cli.conftest import Outcome

    Meshferry = Callable[..., Outcome]


def test_new_makes_keys_once(meshferry: Meshferry, tmp_path: Path):
    made = meshferry("keys", "new", tmp_path / "keys")
    assert (made.code, made.err) == (0, "")
    assert stat.S_IMODE((tmp_path / "keys" / "seal.key").stat().st_mode) == 0o600
    again = meshferry("keys", "new", tmp_path / "keys")
    assert again.code == 77
    assert "seal.key exists" in again.err


def test_rotate_keeps_the_key_before(meshferry: Meshferry, tmp_path: Path):
    ids = [meshferry("keys", command, tmp_path).out.strip() for command in ("new", "rotate")]
    listed = meshferry("keys", "list", tmp_path, "-o", "json")
    assert [(row["key"], row["state"], row["private"], row["age_days"]) for row in listed.data()] == [
        (ids[1], "current", "here", 0),
        (ids[0], "retired", "here", 0),
    ]
    for path in tmp_path.glob("*.key"):
        assert path.read_text().strip() not in listed.out + listed.err


def test_the_public_part_goes_to_another_host(meshferry: Meshferry, tmp_path: Path):
    meshferry("keys", "new", tmp_path)
    exported = meshferry("keys", "export-public", tmp_path)
    assert (exported.code, exported.out) == (0, (tmp_path / "seal.pub").read_text())


def test_a_directory_without_keys_is_bad_configuration(meshferry: Meshferry, tmp_path: Path):
    for command in ("rotate", "list", "export-public"):
        refused = meshferry("keys", command, tmp_path / "absent")
        assert refused.code == 78
        assert str(tmp_path / "absent") in refused.err
        assert refused.err.count("\n") == 1
