"""The form of answers that APISIX gives itself, judged by the real Envoy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.single_listener import both

if TYPE_CHECKING:
    from pathlib import Path


def _status(value: int, operator: str = "EQ") -> dict[str, Any]:
    comparison = {"op": operator, "value": {"default_value": value, "runtime_key": "none"}}
    return {"status_code_filter": {"comparison": comparison}}


def _header(name: str, value: str, action: str = "APPEND_IF_EXISTS_OR_ADD") -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": action}


ROUTING: dict[str, Any] = {
    "route_config": {
        "name": "r",
        "virtual_hosts": [
            {
                "name": "v",
                "domains": ["*"],
                "routes": [
                    {"match": {"path": "/up"}, "route": {"cluster": "c"}},
                    {"match": {"path": "/moved"}, "redirect": {"path_redirect": "/up"}},
                    {"match": {"path": "/gone"}, "direct_response": {"status": 410, "body": {"inline_string": "o $1"}}},
                    {"match": {"path": "/ok"}, "direct_response": {"status": 200, "body": {"inline_string": 'a"b'}}},
                ],
            }
        ],
    },
}
MAPPERS: list[dict[str, Any]] = [
    {
        "filter": {
            "and_filter": {
                "filters": [
                    _status(404),
                    {"header_filter": {"header": {"name": "x-json", "string_match": {"exact": "1"}}}},
                ]
            }
        },
        "body": {"inline_string": "nothing here"},
        "body_format_override": {"json_format": {"text": "%LOCAL_REPLY_BODY%", "code": "%RESPONSE_CODE%", "a": 1}},
    },
    {
        "filter": _status(410),
        "status_code": 404,
        "headers_to_add": [
            _header("x-was", "%RESPONSE_CODE%"),
            _header("x-never", "1", "OVERWRITE_IF_EXISTS"),
        ],
    },
    {
        "filter": _status(302, "LE"),
        "headers_to_add": [_header("content-type", "text/x-own", "OVERWRITE_IF_EXISTS_OR_ADD")],
    },
    {
        "filter": _status(500, "GE"),
        "body": {"inline_string": ""},
        "body_format_override": {"text_format": "%PROTOCOL%"},
    },
]


async def _asked(local_reply: dict[str, Any], directory: Path) -> list[tuple[int, str]]:
    async with both({**ROUTING, "local_reply_config": local_reply}, ["c"], directory) as sides:
        found = []
        for path in ("/up", "/moved", "/gone", "/ok", "/other"):
            seen = await sides.assert_alike(path)
            found.append((seen.status, seen.body))
        await sides.assert_alike("/other", x_json="1")
        return found


async def test_a_format_is_that_of_every_answer_but_those_of_upstreams(tmp_path: Path):
    style = {"text_format": "<%LOCAL_REPLY_BODY%> %RESPONSE_CODE%", "content_type": "text/html"}
    found = await _asked({"body_format": style}, tmp_path)
    assert (410, "<o $1> 410") in found


async def test_json_is_escaped_and_ends_its_line(tmp_path: Path):
    style = {"json_format": {"said": "%LOCAL_REPLY_BODY%", "code": "%RESPONSE_CODE%", "in": {"b": "x", "a": True}}}
    found = await _asked({"body_format": style}, tmp_path)
    assert any('"said":"a\\"b"' in body for _, body in found)


async def test_the_first_mapper_that_takes_an_answer_decides(tmp_path: Path):
    found = await _asked({"mappers": MAPPERS}, tmp_path)
    assert (404, "o $1") in found


async def test_a_type_that_nobody_has_set_is_that_of_the_format_even_where_the_body_stays(tmp_path: Path):
    style = {"text_format": "%LOCAL_REPLY_BODY%", "content_type": "text/x-own"}
    found = await _asked({"body_format": style}, tmp_path)
    assert (410, "o $1") in found


async def test_headers_of_a_mapper_do_not_keep_the_type_of_the_format_away(tmp_path: Path):
    mapper = {"filter": _status(200, "GE"), "headers_to_add": [_header("x-was", "%RESPONSE_CODE%")]}
    style = {"json_format": {"said": "%LOCAL_REPLY_BODY%"}}
    await _asked({"mappers": [mapper], "body_format": style}, tmp_path)


async def test_a_mapper_that_sets_the_type_of_the_answer_is_heeded(tmp_path: Path):
    mapper = {"filter": _status(200, "GE"), "headers_to_add": [_header("content-type", "text/plain")]}
    style = {"json_format": {"said": "%LOCAL_REPLY_BODY%"}}
    await _asked({"mappers": [mapper], "body_format": style}, tmp_path)
