from __future__ import annotations

from producers.xds.virtual_host import heads, merge
from tests.producers.xds.dialogue import routes, virtual_host


def test_every_beginning_before_a_slash_may_be_the_route_configuration():
    assert list(heads("a/b/c")) == ["a/b", "a"]
    assert list(heads("a")) == []


def test_discovered_hosts_follow_the_listed_ones_and_the_original_is_left_alone():
    listed = routes("r", has_vhds=True)
    merged = merge(listed, [virtual_host("one"), virtual_host("two")])
    assert [host.name for host in merged.virtual_hosts] == ["v", "one", "two"]
    assert merged.HasField("vhds")
    assert len(listed.virtual_hosts) == 1
