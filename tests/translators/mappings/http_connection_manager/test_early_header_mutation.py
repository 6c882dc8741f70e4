from __future__ import annotations

from tests.translators.managed import managed

TYPE = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"


def test_mutations_come_first_and_late():
    mutations = [{"remove": "X-A"}, {"append": {"header": {"key": "x-b", "value": "1"}}}]
    extension = {"name": "e", "typed_config": {"@type": TYPE, "mutations": mutations}}
    found = managed({"via": "v", "early_header_mutation_extensions": [extension]})
    assert found.draft.request[0].removed == ("x-a",)
    assert list(found.request) == ["x-b", "via"]
    assert found.said == [("HCM-EARLY", "early_header_mutation_extensions[e]")]


def test_other_extensions_do_nothing():
    extension = {"name": "e", "typed_config": {"@type": "type.googleapis.com/google.protobuf.Empty"}}
    found = managed({"early_header_mutation_extensions": [extension]})
    assert found.draft.request == []
    assert [found.value for found in found.diagnostics] == ["type.googleapis.com/google.protobuf.Empty"]


def test_values_without_a_template_are_named_where_they_stand():
    mutations = [{"append": {"header": {"key": "x-b", "value": "%RESPONSE_FLAGS%"}}}]
    extension = {"name": "e", "typed_config": {"@type": TYPE, "mutations": mutations}}
    found = managed({"early_header_mutation_extensions": [extension]})
    assert ("HDR-FORMAT", "early_header_mutation_extensions[e].mutations[x-b]") in found.said
