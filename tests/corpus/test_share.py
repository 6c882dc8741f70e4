from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from schemas import xds
from schemas.records import Severity
from tests.corpus.report import main
from tests.corpus.share import FAULTS, LIMITS, Share, is_http
from tests.producers import scene
from translators.diagnostics import CODES

if TYPE_CHECKING:
    from pathlib import Path

SOMETIMES = {"L4-FEATURE"}
"""An ERROR only where a tunnel is lost."""


def test_limits_and_faults_are_codes_of_errors_each_with_its_reason():
    assert not LIMITS.keys() & FAULTS.keys()
    for code, reason in (LIMITS | FAULTS).items():
        assert CODES[code].severity in {Severity.ERROR, Severity.FATAL} or code in SOMETIMES, code
        assert reason


@pytest.mark.parametrize(
    ("codes", "columns"),
    [
        (set(), ["1", "100.0%", "100.0%", "100.0%"]),
        ({"RT-CONNECT", "TLS-SAN"}, ["1", "0.0%", "100.0%", "100.0%"]),
        ({"RT-CONNECT", "SEC-KEYPAIR"}, ["1", "0.0%", "0.0%", "100.0%"]),
        ({"RT-CONNECT", "HF-RESTRICT"}, ["1", "0.0%", "0.0%", "0.0%"]),
    ],
)
def test_a_case_is_served_when_nothing_stands_against_it_but_limits_and_faults(codes: set[str], columns: list[str]):
    share = Share()
    share.count(codes)
    assert share.columns() == columns
    assert set(share.spoilers) == codes & {"HF-RESTRICT"}


def test_shares_add_up():
    one, other = Share(), Share()
    one.count(set())
    other.count({"HF-RESTRICT"})
    assert (one + other).columns() == ["2", "50.0%", "50.0%", "50.0%"]
    assert Share().columns() == ["0", "-", "-", "-"]


def test_a_case_is_about_http_when_it_has_a_connection_manager_or_routes():
    assert is_http([scene.listener("l", scene.rds("r"))])
    assert is_http([scene.route_configuration("r")])
    assert not is_http([scene.listener("l", scene.tcp("c")), scene.cluster("c")])


def test_the_report_tells_the_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    case = {"resources": {xds.ROUTE_CONFIGURATION: [{"name": "r"}]}}
    (tmp_path / "plane").mkdir()
    (tmp_path / "plane" / "case.json").write_bytes(orjson.dumps(case))
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith(" in all")] == [
        ["in", "all", "1", "100.0%", "100.0%", "100.0%", "1", "100.0%", "100.0%", "100.0%"]
    ]
