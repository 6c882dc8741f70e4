from __future__ import annotations

from schemas import xds
from translators.findings import Findings
from translators.policy import Policy
from translators.proxy_protocol import ProxyPort, proxy_protocol
from translators.where import Where

AT, OTHER = Where(xds.LISTENER, "a"), Where(xds.LISTENER, "b")


def test_one_port_for_each_of_http_and_tls():
    findings = Findings(Policy())
    ports = [ProxyPort(80, {True: AT}, is_tls=False), ProxyPort(443, {True: AT}, is_tls=True)]
    assert proxy_protocol(ports, findings) == {"listen_http_port": 80, "listen_https_port": 443}
    assert findings.diagnostics() == ()


def test_no_second_port():
    findings = Findings(Policy())
    ports = [ProxyPort(80, {True: AT}, is_tls=False), ProxyPort(81, {True: OTHER}, is_tls=False)]
    assert proxy_protocol(ports, findings) == {"listen_http_port": 80}
    assert [(one.code, one.name, one.value) for one in findings.diagnostics()] == [("LST-LFILTER", "b", "81")]


def test_a_port_speaks_it_in_all_its_chains():
    findings = Findings(Policy())
    assert proxy_protocol([ProxyPort(80, {True: AT, False: OTHER}, is_tls=False)], findings)
    assert [one.name for one in findings.diagnostics()] == ["b"]
