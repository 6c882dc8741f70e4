"""ScopedRoutes.scope_key_builder.

Source: the key builder of the HttpConnectionManager and the key of the ScopedRouteConfiguration.
Target: conditions on request headers that every route of the scope carries.
Fidelity: E.
Differs: of a header that comes twice Envoy reads the first line, nginx both.
Diagnostics: RT-HEADER, RT-MATCHER.
See: mapping.md section 5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch
from translators.expr import equals, escape, matches
from translators.mappings.match.headers import variable_of

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.where import Where

_UNSERVED = "the scope is not served"


def scope_key_conditions(
    routes: xds.Message, scope: xds.Message, at: Where, findings: Findings
) -> tuple[Expr, ...] | None:
    """Give what requests of a scope have in common.

    Args:
        routes: the ScopedRoutes of the connection manager.
        scope: the ScopedRouteConfiguration.
        at: where it stands.
        findings: receives the diagnostics.

    Returns:
        None when that cannot be expressed, so that the scope must not be served (fail closed).
    """
    builders, fragments = routes.scope_key_builder.fragments, scope.key.fragments
    if not builders or len(builders) != len(fragments):
        findings.report("CFG-INVALID", at.field("key"), value="the key has other fragments", effect=_UNSERVED)
        return None
    conditions: list[Expr] = []
    for index, (builder, fragment) in enumerate(zip(builders, fragments, strict=True)):
        extractor = builder.header_value_extractor
        is_open = dispatch.apply(extractor, None, at, findings)
        variable = variable_of(extractor.name)
        place = at.item("key.fragments", index)
        if variable is None or not is_open:
            findings.report("RT-HEADER", place, value=extractor.name, effect=_UNSERVED)
            return None
        conditions.append(_condition(extractor, variable, fragment.string_key))
    return tuple(conditions)


def _condition(extractor: xds.Message, variable: str, key: str) -> Expr:
    separator = escape(extractor.element_separator)
    by_element = extractor.WhichOneof("extract_type") == "element"
    if not separator and not by_element:
        return equals(variable, key)
    element = f"(?:(?!{separator})(?s:.))*" if separator else "(?s:.)*"
    end = f"(?:{separator}|\\z)" if separator else "\\z"
    if not by_element:
        return matches(variable, rf"\A(?:{element}{separator}){{{extractor.index}}}{escape(key)}{end}")
    name, between = escape(extractor.element.key), escape(extractor.element.separator)
    other = rf"(?!{name}(?:{between}|{separator}|\z)){element}{separator}" if separator else "(?!)"
    found = rf"{name}{between}{escape(key)}"
    # A name alone has the value "": Envoy splits it into itself and nothing.
    found = rf"(?:{found}|{name})" if not key else found
    return matches(variable, rf"\A(?:{other})*{found}{end}")
