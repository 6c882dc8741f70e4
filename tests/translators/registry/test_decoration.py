"""Every field of the filters that are translated here has a row (law 8)."""

from __future__ import annotations

import pytest

from schemas import xds
from tests.translators.route_parts import forwarded, http_filter, route_outcome
from translators.registry import find

FILTER = "envoy.extensions.filters.http."
MESSAGES = (
    "fault.v3.HTTPFault",
    "fault.v3.FaultAbort",
    "cors.v3.Cors",
    "cors.v3.CorsPolicy",
    "csrf.v3.CsrfPolicy",
    "buffer.v3.Buffer",
    "buffer.v3.BufferPerRoute",
    "health_check.v3.HealthCheck",
    "compressor.v3.Compressor",
    "compressor.v3.Compressor.CommonDirectionConfig",
    "compressor.v3.Compressor.RequestDirectionConfig",
    "compressor.v3.Compressor.ResponseDirectionConfig",
    "compressor.v3.CompressorPerRoute",
    "compressor.v3.CompressorOverrides",
    "grpc_web.v3.GrpcWeb",
    "header_mutation.v3.HeaderMutation",
    "header_mutation.v3.HeaderMutationPerRoute",
    "header_mutation.v3.Mutations",
    "header_to_metadata.v3.Config",
    "header_to_metadata.v3.Config.Rule",
)
OTHERS = (
    "envoy.config.route.v3.CorsPolicy",
    "envoy.extensions.filters.common.fault.v3.FaultDelay",
    "envoy.extensions.compression.gzip.compressor.v3.Gzip",
    "envoy.extensions.compression.brotli.compressor.v3.Brotli",
)


@pytest.mark.parametrize("name", [*(FILTER + name for name in MESSAGES), *OTHERS])
def test_every_field_has_a_row(name: str):
    fields = [field.full_name for field in xds.message_class(name).DESCRIPTOR.fields]
    assert [field for field in fields if find(field) is None] == []


@pytest.mark.parametrize("field", ["query_parameter_mutations", "response_trailers_mutations"])
def test_mutations_that_are_lost_say_what_to_do_instead(field: str):
    mutation = {"append": {"record": {"key": "k", "value": "v"}}}
    if field == "response_trailers_mutations":
        mutation = {"append": {"header": {"key": "k", "value": "v"}}}
    outcome = route_outcome(
        forwarded(), filters=[http_filter(".header_mutation.v3.HeaderMutation", {"mutations": {field: [mutation]}})]
    )
    (found,) = outcome.diagnostics
    assert (found.code, found.path.endswith(field)) == ("HF-UNTRANSLATED", True)
    assert found.remedy
