from __future__ import annotations

import pytest

from tests.peers import go_control_plane


def test_a_machine_without_go_is_told_where_to_get_it(monkeypatch):
    monkeypatch.setattr(go_control_plane.shutil, "which", lambda _name: None)
    with pytest.raises(pytest.fail.Exception, match=r"Go 1\.24 or newer; unpack it from https://go\.dev/dl"):
        go_control_plane.build_program()


def test_a_program_that_cannot_be_built_says_what_the_compiler_said(monkeypatch):
    monkeypatch.setattr(go_control_plane, "find_go", lambda: "/bin/false")
    with pytest.raises(pytest.fail.Exception, match="/bin/false build -mod=readonly"):
        go_control_plane.build_program()
