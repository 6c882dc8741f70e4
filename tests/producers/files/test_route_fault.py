from __future__ import annotations

from producers.files.route_fault import mend
from schemas import xds

ALL = {"match": {"prefix": "/"}, "route": {"cluster": "a"}}


def built(*virtual_hosts: dict):
    message = xds.message_class(xds.ROUTE_CONFIGURATION)()
    return xds.from_json({"name": "rc", "virtual_hosts": list(virtual_hosts)}, message) or message


def test_what_is_right_stays_as_it_is():
    message = built({"name": "a", "domains": ["a", "*"], "routes": [ALL]}, {"name": "b", "domains": ["b", "*.b"]})
    before = message.SerializeToString(deterministic=True)
    assert mend(message) == []
    assert message.SerializeToString(deterministic=True) == before


def test_the_first_virtual_host_keeps_a_domain():
    message = built({"name": "a", "domains": ["x.com", "*"]}, {"name": "b", "domains": ["y.com", "X.com", "*"]})
    assert [str(fault) for fault in mend(message)] == [
        "rc: virtual_hosts[1].domains: X.com stands twice; the first virtual host has it",
        "rc: virtual_hosts[1].domains: * stands twice; the first virtual host has it",
    ]
    assert [list(virtual_host.domains) for virtual_host in message.virtual_hosts] == [["x.com", "*"], ["y.com"]]


def test_a_route_without_a_path_does_not_take_every_request():
    headers = {"match": {"headers": [{"name": "x", "present_match": True}]}, "route": {"cluster": "b"}}
    message = built({"name": "a", "domains": ["*"], "routes": [{"route": {"cluster": "b"}}, ALL, headers]})
    assert [str(fault) for fault in mend(message)] == [
        "rc: virtual_hosts[0].routes[0].match: no path to match; the route is left out",
        "rc: virtual_hosts[0].routes[2].match: no path to match; the route is left out",
    ]
    assert [route.match.prefix for route in message.virtual_hosts[0].routes] == ["/"]
