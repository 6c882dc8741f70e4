"""VirtualHost.matcher.

Source: xds.type.matcher.v3.Matcher whose leaves are Route or RouteList and whose inputs are request headers.
Target: the routes of the leaves in order, each with the conditions on the way to it; behind the routes of a leaf, the
    answer to requests that reach it and that none of them takes.
Fidelity: E; other inputs, matchers and leaves cannot be expressed.
Differs: the lines of a repeated header are joined with `, `, by Envoy with `,`.
Diagnostics: RT-MATCHER, RT-REGEX.
See: mapping.md section 5.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import xds
from translators.expr import ALWAYS, NEVER, all_of, any_of, equals, negate, prefix
from translators.mappings.match.headers import variable_of
from translators.mappings.match.string_match import test_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from translators.expr import Expr
    from translators.where import Where

HEADER_INPUT = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
_ROUTE = "envoy.config.route.v3.Route"
_ROUTE_LIST = "envoy.config.route.v3.RouteList"


class InexpressibleMatcherError(ValueError):
    """A part of the tree has no counterpart; the message says which."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The routes at the end of one way through the tree.

    Attributes:
        condition: holds for the requests that get there, given that no leaf before it took them.
        routes: the Routes, in order.
        at: where the leaf stands.
    """

    condition: Expr
    routes: tuple[xds.Message, ...]
    at: Where


def leaves_of(matcher: xds.Message, at: Where) -> list[Leaf]:
    """Flatten a matcher tree; leaves that no request reaches are left out.

    Args:
        matcher: the Matcher.
        at: where it stands.

    Raises:
        InexpressibleMatcherError: see there.
        RegexError: a regex cannot be translated.
    """
    reached: dict[Expr, Leaf] = {}
    for leaf in _matched(matcher, ALWAYS, at):
        if ALWAYS not in reached:
            reached.setdefault(leaf.condition, leaf)
    return list(reached.values())


def _matched(matcher: xds.Message, condition: Expr, at: Where) -> Iterator[Leaf]:
    kind = matcher.WhichOneof("matcher_type")
    if kind == "matcher_list":
        for index, one in enumerate(matcher.matcher_list.matchers):
            place = at.item("matcher_list.matchers", index)
            yield from _on_match(one.on_match, all_of((condition, _predicate(one.predicate))), place.field("on_match"))
    elif kind == "matcher_tree":
        yield from _tree(matcher.matcher_tree, condition, at.field("matcher_tree"))
    if matcher.HasField("on_no_match"):
        yield from _on_match(matcher.on_no_match, condition, at.field("on_no_match"))


def _tree(tree: xds.Message, condition: Expr, at: Where) -> Iterator[Leaf]:
    variable = _variable(tree.input)
    kind = tree.WhichOneof("tree_type")
    if kind not in ("exact_match_map", "prefix_match_map"):
        raise InexpressibleMatcherError(f"{kind} in a matcher tree")
    entries = getattr(tree, kind).map
    # The longest prefix is looked at first; where it leads nowhere, a shorter one is.
    for key in sorted(entries, key=lambda text: (-len(text), text)):
        own = equals(variable, key) if kind == "exact_match_map" else prefix(variable, key)
        yield from _on_match(entries[key], all_of((condition, own)), at.item(kind, key))


def _on_match(found: xds.Message, condition: Expr, at: Where) -> Iterator[Leaf]:
    if condition == NEVER:
        return
    if found.keep_matching:
        raise InexpressibleMatcherError("keep_matching")
    if found.WhichOneof("on_match") == "matcher":
        yield from _matched(found.matcher, condition, at.field("matcher"))
        return
    action = xds.unpack(found.action.typed_config)
    name = action.DESCRIPTOR.full_name if action is not None else ""
    if action is None or name not in (_ROUTE, _ROUTE_LIST):
        raise InexpressibleMatcherError(f"an action {found.action.typed_config.type_url}")
    routes = (action,) if name == _ROUTE else tuple(action.routes)
    yield Leaf(condition, routes, at.field("action"))


def _predicate(predicate: xds.Message) -> Expr:
    kind = predicate.WhichOneof("match_type")
    if kind == "single_predicate":
        return _single(predicate.single_predicate)
    if kind == "not_matcher":
        return negate(_predicate(predicate.not_matcher))
    if kind is None:
        raise InexpressibleMatcherError("a predicate of nothing")
    parts: Sequence[Expr] = [_predicate(one) for one in getattr(predicate, kind).predicate]
    return any_of(parts) if kind == "or_matcher" else all_of(parts)


def _single(predicate: xds.Message) -> Expr:
    test = None
    if predicate.WhichOneof("matcher") == "value_match":
        test = test_of(predicate.value_match, _variable(predicate.input))
    if test is None:
        raise InexpressibleMatcherError("a custom matcher")
    return test.holds


def _variable(data_input: xds.Message) -> str:
    """Give the variable that holds an input."""
    read = xds.unpack(data_input.typed_config)
    if read is None or read.DESCRIPTOR.full_name != HEADER_INPUT:
        raise InexpressibleMatcherError(f"an input {data_input.typed_config.type_url}")
    variable = variable_of(read.header_name)
    if variable is None:
        raise InexpressibleMatcherError(f"the header {read.header_name}")
    return variable
