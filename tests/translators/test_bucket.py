from __future__ import annotations

import pytest

from schemas import xds
from tests.oracle.router import Request, holds
from translators.bucket import Authority, hostless_order, read_domains

STRICT, LOOSE = Authority(), Authority(ignores_port=True)


def hosts(*domains: str, authority: Authority = LOOSE) -> list[tuple[str, ...]]:
    return [group.hosts for group in read_domains(domains, authority).groups]


def admits(domain: str, host_header: str, authority: Authority) -> bool:
    """Tell whether the guards of a domain's group admit a Host header that led into its bucket."""
    (group,) = read_domains([domain], authority).groups
    host = host_header.lower().rpartition(":")[0] if host_header[-1:].isdigit() and ":" in host_header else host_header
    request = Request(host.removesuffix("."), "/", variables={"http_host": host_header})
    return all(holds(guard, request) for guard in group.guards)


def test_hosts_are_lower_case_and_stand_once():
    assert hosts("B.com", "a.com", "b.com", "b.com.") == [("a.com", "b.com")]


def test_domains_sort_into_hosts_and_prefixes():
    found = read_domains(["a.com", "*.b.com", "C.*", "*", "d.com:80", "*:81", "exa mple", "[::1]"], LOOSE)
    assert [group.hosts for group in found.groups] == [("*.b.com", "[::1]", "a.com")]
    assert found.hostless == ("c.*", "*")
    assert found.unreachable == ("d.com:80", "*:81")
    assert found.broken == ("exa mple",)


@pytest.mark.parametrize(
    ("domain", "host_header", "wanted"),
    [
        ("a.com", "a.com", True),
        ("a.com", "A.com", True),
        ("a.com", "a.com:80", False),
        ("a.com", "a.com:", False),
        ("a.com", "a.com.", False),
        ("a.com.", "a.com.", True),
        ("a.com.", "a.com", False),
        ("a.com:81", "a.com:81", True),
        ("a.com:81", "a.com:8081", False),
        ("a.com:81", "a.com", False),
        ("a.com:81", "a.com.:81", False),
        ("a.com.:81", "a.com.:81", True),
        ("[::1]", "[::1]", True),
        ("[::1]", "[::1]:80", False),
        ("[::1]:80", "[::1]:80", True),
        ("*.a.com", "x.a.com", True),
        ("*.a.com", ".a.com", False),
        ("*.a.com:81", "x.a.com:81", True),
    ],
)
def test_ports_and_dots_count_unless_they_are_ignored(domain: str, host_header: str, wanted):
    assert admits(domain, host_header, STRICT) == wanted


@pytest.mark.parametrize(
    ("domain", "host_header", "wanted"),
    [
        ("a.com", "a.com:8080", True),
        ("a.com", "a.com:81", False),
        ("a.com", "a.com.", True),
        ("a.com:81", "a.com:81", True),
    ],
)
def test_what_the_connection_manager_takes_off_does_not_count(domain: str, host_header: str, wanted):
    assert admits(domain, host_header, Authority(dropped_port=8080, drops_dot=True)) == wanted


def test_a_domain_with_the_dropped_port_can_never_match():
    assert read_domains(["a.com:8080"], Authority(dropped_port=8080)).unreachable == ("a.com:8080",)


def test_without_ports_there_is_no_guard():
    (group,) = read_domains(["a.com"], LOOSE).groups
    assert group.guards == ()


def test_a_nested_wildcard_is_a_group_of_its_own():
    """`.b.a.com` is no match of `*.b.a.com` but one of `*.a.com`."""
    outer, inner = read_domains(["*.b.a.com", "*.a.com", "a.com"], LOOSE).groups
    assert (outer.hosts, outer.guards) == (("*.a.com", "a.com"), (("host", "~=", ".a.com"),))
    assert (inner.hosts, inner.guards) == (("*.b.a.com",), (("host", "~=", ".b.a.com"),))
    assert outer.name != inner.name


def test_groups_of_different_ports_have_different_names():
    groups = read_domains(["a.com", "a.com:81", "a.com.", "b.com:81"], STRICT).groups
    assert len({group.name for group in groups}) == len(groups) == 3


@pytest.mark.parametrize(
    ("prefix", "host_header", "authority", "wanted"),
    [
        ("foo.", "foo.com", STRICT, True),
        ("foo.", "FOO.com:80", STRICT, True),
        ("foo.", "foo.", STRICT, False),
        ("foo.com:", "foo.com:80", STRICT, True),
        ("foo.com:", "foo.com", STRICT, False),
        ("foo.com:", "foo.com:80", LOOSE, False),
        ("foo.", "foo.com:80", LOOSE, True),
        ("foo.com", "foo.com:8080", Authority(dropped_port=8080), False),
        ("foo.com:", "foo.com:8080", Authority(dropped_port=8080), False),
        ("foo.com:", "foo.com:80", Authority(dropped_port=8080), True),
    ],
)
def test_prefix_domains_are_conditions(prefix: str, host_header: str, authority: Authority, wanted):
    host = host_header.partition(":")[0].lower().removesuffix(".")
    request = Request(host, "/", variables={"http_host": host_header})
    assert all(holds(guard, request) for guard in authority.hostless_guards(f"{prefix}*")) == wanted


def test_a_port_of_any_host_is_a_condition():
    assert read_domains(["*:80", "*"], STRICT).hostless == ("*:80", "*")
    (guard,) = STRICT.hostless_guards("*:80")
    for host_header, wanted in (("a.com:80", True), (":80", False), ("a.com:8080", False), ("a.com", False)):
        assert holds(guard, Request("a.com", "/", variables={"http_host": host_header})) == wanted
    assert STRICT.hostless_guards("*") == ()


def test_the_host_less_bucket_is_in_the_order_of_precedence():
    assert sorted(["*", "a.*", "*:80", "a.b.*", "b.*"], key=hostless_order) == ["*:80", "a.b.*", "a.*", "b.*", "*"]


def test_the_settings_are_read_from_both_places():
    config = xds.message_class(xds.ROUTE_CONFIGURATION)()
    hcm = xds.message_class(xds.HTTP_CONNECTION_MANAGER)()
    assert Authority.of(config, hcm, 80) == STRICT
    config.ignore_port_in_host_matching = True
    assert Authority.of(config, hcm, 80) == LOOSE
    hcm.strip_any_host_port, config.ignore_port_in_host_matching = True, False
    assert Authority.of(config, hcm, 80) == LOOSE
    hcm.strip_any_host_port, hcm.strip_matching_host_port, hcm.strip_trailing_host_dot = False, True, True
    assert Authority.of(config, hcm, 80) == Authority(dropped_port=80, drops_dot=True)
