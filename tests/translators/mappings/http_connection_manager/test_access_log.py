from __future__ import annotations

from typing import Any

from tests.translators.managed import managed

PACKAGE = "type.googleapis.com/envoy.extensions.access_loggers."


def logged(*configs: dict[str, Any], **log: Any) -> Any:
    logs = [{"name": f"l{index}", "typed_config": config, **log} for index, config in enumerate(configs)]
    return managed({"access_log": logs})


def file(**fields: Any) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}file.v3.FileAccessLog", "path": "/var/log/a", **fields}


def stream(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}stream.v3.{kind}AccessLog", **fields}


def format_of(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = logged(config).draft.observers["file-logger"]["log_format"]
    return found


def test_streams_are_files():
    assert logged(stream("Stdout")).draft.observers["file-logger"]["path"] == "/dev/stdout"
    assert logged(stream("Stderr")).draft.observers["file-logger"]["path"] == "/dev/stderr"


def test_every_way_to_give_a_text():
    texts = [
        file(format="%PROTOCOL% %START_TIME(%s)%"),
        file(log_format={"text_format": "%PROTOCOL% %START_TIME(%s)%"}),
        stream("Stdout", log_format={"text_format_source": {"inline_string": "%PROTOCOL% x %START_TIME(%s)%"}}),
        stream("Stdout", log_format={"text_format_source": {"inline_bytes": "JVBST1RPQ09MJSAlU1RBUlRfVElNRSU="}}),
    ]
    for config in texts:
        assert format_of(config) == {"server_protocol": "$server_protocol", "time_iso8601": "$time_iso8601"}


def test_every_way_to_give_json():
    for fields in ({"json_format": {"a": "%PROTOCOL%"}}, {"typed_json_format": {"a": "%PROTOCOL%"}}):
        assert format_of(file(**fields)) == {"a": "$server_protocol"}


def test_values_of_json():
    given = {
        "text": "100%% $x",
        "dollar": "$host",
        "number": 1,
        "list": ["%RESPONSE_CODE%", True],
        "mixed": "%REQ(:METHOD)% on %RESP(X-UP):3%",
        "lost": "%UPSTREAM_CLUSTER%",
        "lost_too": "%RESPONSE_FLAGS% %UPSTREAM_CLUSTER%",
        "time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    }
    assert format_of(file(json_format=given)) == {
        "text": "100% $x",
        "dollar": "host",
        "number": 1.0,
        "list": ["$status", True],
        "mixed": {"request_method": "$request_method", "sent_http_x_up": "$sent_http_x_up"},
        "time": "$upstream_response_time",
    }


def test_what_has_no_variable_is_named():
    (found,) = logged(file(format="%RESPONSE_FLAGS% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER%")).diagnostics
    assert (found.code, found.value) == ("OBS-ALS", "%RESPONSE_FLAGS%, %UPSTREAM_CLUSTER%")


def test_fields_deeper_than_the_plugin_looks_are_left_out():
    deep: Any = "%PROTOCOL%"
    for _ in range(6):
        deep = {"k": deep}
    assert format_of(file(json_format=deep)) == {"k": {"k": {"k": {"k": {"k": {}}}}}}


def test_one_file_per_chain_and_no_other_sink():
    grpc = {
        "@type": f"{PACKAGE}grpc.v3.HttpGrpcAccessLogConfig",
        "common_config": {"log_name": "l", "grpc_service": {"envoy_grpc": {"cluster_name": "c"}}},
    }
    unknown = {"@type": "type.googleapis.com/google.protobuf.Empty"}
    found = logged(grpc, unknown, file(), stream("Stdout"))
    assert found.draft.observers["file-logger"]["path"] == "/var/log/a"
    assert found.said == [("OBS-ALS", f"access_log[l{index}]") for index in (0, 1, 3)]


def test_a_log_that_nothing_gets_into():
    never = {"name": "x", "present_match": False, "treat_missing_header_as_empty": True}
    assert logged(file(), filter={"header_filter": {"header": never}}).draft.observers == {}
