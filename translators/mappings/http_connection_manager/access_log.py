"""Source: HttpConnectionManager.access_log: FileAccessLog, StdoutAccessLog, StderrAccessLog.

Target: the plugin file-logger, in the plugin_config that the routes of the chain share.
Fidelity: A.
Differs: a line is a JSON object: of a text each operator is a field, its literal text is lost; a JSON value of several
    operators is an object; APISIX adds route_id; times are in seconds. Only the first log of a chain is written.
Diagnostics: OBS-ALS.
See: mapping.md sections 4.8 and 6.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from schemas import xds
from translators.expr import ALWAYS, NEVER, conjuncts
from translators.format_string import FormatError, HeaderReference, Text, parse
from translators.mappings.http_connection_manager.access_log_filter import condition_of

if TYPE_CHECKING:
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.format_string import Side
    from translators.where import Where

PLUGIN = "file-logger"
MAX_DEPTH = 5
"""Of nested fields (apisix/utils/log-util.lua)."""
_PACKAGE = "envoy.extensions.access_loggers."
_STREAMS = {
    f"{_PACKAGE}stream.v3.StdoutAccessLog": "/dev/stdout",
    f"{_PACKAGE}stream.v3.StderrAccessLog": "/dev/stderr",
}
_FILE = f"{_PACKAGE}file.v3.FileAccessLog"
_OPERATOR = re.compile(r"%%|%[A-Z][A-Z0-9_]*(?:\([^)]*\))?(?::\d+)?%")
_DEFAULT = (
    "[%START_TIME%] %REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %RESPONSE_CODE% %BYTES_RECEIVED% "
    "%BYTES_SENT% %DURATION% %REQ(X-FORWARDED-FOR)% %REQ(USER-AGENT)% %REQ(X-REQUEST-ID)% %REQ(:AUTHORITY)% "
    "%UPSTREAM_HOST%"
)
"""Envoy's own format without what has no variable."""
_VARIABLES = {
    "BYTES_SENT": "body_bytes_sent",
    "ROUTE_NAME": "route_name",
    "START_TIME": "time_iso8601",
}
"""Operators that a log may have where headers may not, or in other forms."""
_SERVICE_TIME = "X-ENVOY-UPSTREAM-SERVICE-TIME"


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Write the first log that goes into a file."""
    for index, log in enumerate(hcm.access_log):
        place = at.item("access_log", log.name or index)
        config = xds.unpack(log.typed_config)
        if config is None or not _path_of(config):
            findings.report("OBS-ALS", place, value=log.typed_config.type_url or log.name)
        elif PLUGIN in draft.observers:
            findings.report("OBS-ALS", place, value=_path_of(config), effect="only the first file is written")
        else:
            _write(log, config, draft, place, findings)


def _path_of(config: xds.Message) -> str:
    """Give the file that a logger writes; empty for one that sends its log elsewhere."""
    kind = config.DESCRIPTOR.full_name
    return str(config.path) if kind == _FILE else _STREAMS.get(kind, "")


def _write(log: xds.Message, config: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    condition = condition_of(log.filter, at.field("filter"), findings)
    if condition == NEVER:
        return
    lost: list[str] = []
    plugin: dict[str, Any] = {"path": _path_of(config), "log_format": _format_of(config, lost)}
    if condition != ALWAYS:
        plugin["_meta"] = {"filter": conjuncts((condition,))}
    draft.observers[PLUGIN] = plugin
    if lost:
        effect = "these have no variable and are not in the log"
        findings.report("OBS-ALS", at.field("typed_config"), value=", ".join(sorted(set(lost))), effect=effect)


def _format_of(config: xds.Message, lost: list[str]) -> dict[str, Any]:
    """Give log_format; what has no variable goes to `lost`."""
    source = config.log_format if config.HasField("log_format") else config
    for name in ("json_format", "typed_json_format"):
        if name in source.DESCRIPTOR.fields_by_name and source.HasField(name):
            fields = _object(xds.to_dict(getattr(source, name)), lost, depth=1)
            return fields if isinstance(fields, dict) else {}
    return _fields(_text_of(source) or _DEFAULT, lost)


def _text_of(source: xds.Message) -> str:
    """Give the text of a SubstitutionFormatString or of FileAccessLog.format; empty when there is none."""
    if source.DESCRIPTOR.name != "SubstitutionFormatString":
        return str(getattr(source, "format", ""))
    given = source.text_format_source
    return str(source.text_format or given.inline_string or given.inline_bytes.decode(errors="replace"))


def _object(value: Any, lost: list[str], *, depth: int) -> Any:
    """Give a value of JSON as log_format writes it: `$name` is a variable, all else stands for itself."""
    if isinstance(value, dict):
        if depth > MAX_DEPTH:
            return {}
        found = {key: _object(inner, lost, depth=depth + 1) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner is not None}
    if isinstance(value, list):
        return [_object(inner, lost, depth=depth + 1) for inner in value]
    return _text(value, lost) if isinstance(value, str) else value


def _text(text: str, lost: list[str]) -> Any:
    operators = [found for found in _OPERATOR.findall(text) if found != "%%"]
    if not operators:
        return text.replace("%%", "%").lstrip("$")
    if operators == [text]:
        variable = _variable(text, lost)
        return f"${variable}" if variable else None
    return _fields(text, lost) or None


def _fields(text: str, lost: list[str]) -> dict[str, str]:
    """Give a field for every operator of a text, by the name of its variable."""
    operators = [found for found in _OPERATOR.findall(text) if found != "%%"]
    variables = [_variable(operator, lost) for operator in operators]
    return {variable: f"${variable}" for variable in variables if variable}


def _variable(operator: str, lost: list[str]) -> str:
    """Give the variable of an operator; empty, and noted, when there is none."""
    if _SERVICE_TIME in operator.upper():
        return "upstream_response_time"
    name = re.split(r"[(:%]", operator[1:], maxsplit=1)[0]
    variable = _VARIABLES.get(name) or _parsed(operator, "request") or _parsed(operator, "response")
    if not variable:
        lost.append(operator)
    return variable


def _parsed(operator: str, side: Side) -> str:
    """Give the first variable of an operator as it is where headers of a side are mutated."""
    try:
        pieces = parse(operator, side)
    except FormatError:
        return ""
    variables = [piece.variable() if isinstance(piece, HeaderReference) else piece for piece in pieces]
    return next((piece.name for piece in variables if not isinstance(piece, Text)), "")
