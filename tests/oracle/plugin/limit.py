"""Plugins that count, written from plugins/limit-{count,req,conn}.lua and resty.limit.

Time stands still: buckets are not filled again, and no two requests overlap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

from tests.oracle.router import holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.oracle.apisix_model import Exchange

_COUNT_FIELDS = {
    *("_meta", "policy", "rejected_code", "rejected_msg", "show_limit_quota_header"),
    *("count", "time_window", "key", "key_type", "group", "rules"),
}


def limit_count(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """limit-count in its first window: a group counts anywhere, rules count under the object they stand in."""
    assert set(conf) <= _COUNT_FIELDS, set(conf)
    if "rules" in conf:
        assert "group" not in conf
        keys = [(exchange.resolve_found(rule["key"]), rule["count"]) for rule in conf["rules"]]
        rules = [(_key(conf, key), count) for key, count in keys if key is not None]
    else:
        is_constant = conf["key_type"] == "constant"
        key = conf["key"] if is_constant else _found(exchange, conf["key"])
        rules = [(f"{conf['group']}:{key}", conf["count"])]
    if not all(_takes(exchange, key, count) for key, count in rules):
        _refuse(exchange, conf)


def workflow(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """The first case that holds counts under the object it stands in, apart from the other cases (_vid)."""
    for number, rule in enumerate(conf["rules"], 1):
        if holds(rule["case"], exchange.routed()):
            ((name, action),) = rule["actions"]
            assert name == "limit-count"
            assert "group" not in action
            key = _key({**action, "_meta": conf["_meta"]}, _found(exchange, action["key"]))
            if not _takes(exchange, f"{key}:{number}", action["count"]):
                _refuse(exchange, action)
            return


def limit_req(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """limit-req: the first request of a key leaves no excess."""
    assert conf["nodelay"], conf
    if not _takes(exchange, "req:" + _key(conf, _found(exchange, conf["key"])), conf["burst"] + 1):
        _refuse(exchange, conf)


def limit_conn(_exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """limit-conn: one request at a time never reaches a limit."""
    assert conf["conn"] > 0, conf


def _found(exchange: Exchange, template: str) -> str:
    """A key without a value is the address of the client."""
    return exchange.resolve_found(template) or str(exchange.variable("remote_addr"))


def _key(conf: Mapping[str, Any], key: str) -> str:
    """`gen_limit_key`: by the object and by what is configured."""
    meta = {name: value for name, value in conf["_meta"].items() if name != "parent"}
    version = crc32(orjson.dumps({**conf, "_meta": meta}, option=orjson.OPT_SORT_KEYS))
    return f"{conf['_meta']['parent']}:{version}:{key}"


def _takes(exchange: Exchange, key: str, count: int) -> bool:
    used = exchange.node.used.get(key, 0)
    if used < count:
        exchange.node.used[key] = used + 1
    return used < count


def _refuse(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    exchange.answer.status = conf["rejected_code"]
    exchange.answer.headers = [("content-type", "application/json")]
    exchange.answer.body = f'{{"error_msg":"{conf["rejected_msg"]}"}}\n'
    exchange.is_answered = True
