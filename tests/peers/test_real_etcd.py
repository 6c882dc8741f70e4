from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.peers import real_etcd

if TYPE_CHECKING:
    from pathlib import Path


def test_a_machine_without_etcd_is_told_where_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(real_etcd.shutil, "which", lambda _name: None)
    with pytest.raises(pytest.fail.Exception, match="install the package etcd-server"):
        real_etcd.find_etcd()


def test_a_program_that_cannot_be_built_says_what_the_compiler_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(real_etcd, "find_go", lambda: "/bin/false")
    with pytest.raises(pytest.fail.Exception, match="/bin/false build -mod=readonly"):
        real_etcd.build_program()


def test_an_etcd_that_does_not_start_is_quoted(tmp_path: Path):
    with pytest.raises(pytest.fail.Exception, match=r"etcd did not start: .*cannot open"):
        real_etcd.RealEtcd(tmp_path, ["/bin/sh", "none-such"])
