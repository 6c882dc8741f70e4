from __future__ import annotations

from schemas import xds
from tests.translators.unit_outcome import message
from translators.ignored import ignored_fields
from translators.where import Where

ROUTER = {"@type": xds.TYPE_URL_PREFIX + "envoy.extensions.filters.http.router.v3.Router"}
AT = Where(xds.LISTENER, "web")


def test_ignored_fields_are_told_with_their_place_and_reason():
    """Also inside what is packed; where a whole extension is ignored, it is told once."""
    hcm = {"@type": xds.HTTP_CONNECTION_MANAGER, "stat_prefix": "a", "http_filters": [{"typed_config": ROUTER}]}
    chains = [{"filters": [{"name": "hcm", "typed_config": hcm}]}, {"name": "x", "filters": [{"typed_config": hcm}]}]
    found = dict(ignored_fields(message(xds.LISTENER, {"name": "web", "filter_chains": chains}), AT))
    assert found[AT.field("filter_chains[0].filters[hcm].stat_prefix")] == "static in nginx"
    assert AT.field("filter_chains[x].filters[0].http_filters[0]") in found
    assert not any("http_filters[0]." in at.path for at in found)


def test_maps_and_unknown_extensions_are_passed_over():
    unknown = {"filters": [{"name": "a"}]}
    assert dict(ignored_fields(message(xds.LISTENER, {"name": "web", "filter_chains": [unknown]}), AT)) == {}
    config = {"a": {"@type": xds.TYPE_URL_PREFIX + "envoy.extensions.filters.http.cors.v3.CorsPolicy"}}
    route = message(
        xds.ROUTE_CONFIGURATION,
        {"virtual_hosts": [{"name": "a", "domains": ["*"], "typed_per_filter_config": config}]},
    )
    assert dict(ignored_fields(route, AT)) == {}
