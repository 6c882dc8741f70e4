"""The descriptor walk over the filters that limit and authorize (law 8)."""

from __future__ import annotations

import pytest

from schemas import xds
from translators.registry import find

FILTERS = "envoy.extensions.filters.http"
MESSAGES = [
    f"{FILTERS}.local_ratelimit.v3.LocalRateLimit",
    "envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor",
    "envoy.type.v3.TokenBucket",
    "envoy.config.route.v3.RateLimit",
    f"{FILTERS}.ratelimit.v3.RateLimit",
    f"{FILTERS}.ratelimit.v3.RateLimitPerRoute",
    f"{FILTERS}.ext_authz.v3.ExtAuthz",
    f"{FILTERS}.ext_authz.v3.ExtAuthzPerRoute",
    f"{FILTERS}.ext_authz.v3.CheckSettings",
    f"{FILTERS}.ext_authz.v3.BufferSettings",
    f"{FILTERS}.ext_authz.v3.HttpService",
    f"{FILTERS}.ext_authz.v3.AuthorizationRequest",
    f"{FILTERS}.ext_authz.v3.AuthorizationResponse",
]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_a_row(name: str):
    fields = [field.full_name for field in xds.message_class(name).DESCRIPTOR.fields]
    assert [field for field in fields if find(field) is None] == []
