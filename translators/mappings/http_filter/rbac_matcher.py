"""Source: xds.type.matcher.v3.Matcher of RBAC, whose actions are envoy.config.rbac.v3.Action.

Target: the condition under which a request is allowed.
Fidelity: E for headers, addresses, ports, server names and subjects of client certificates; what else is asked counts
    against the request, be it in front of an ALLOW or of a DENY.
Differs: the lines of a repeated header are joined with `, `, by Envoy with `,`.
Diagnostics: HF-META, HF-RESTRICT, TLS-SAN, RT-HEADER, RT-REGEX, HCM-XFF.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from translators import expr
from translators.approximation import FAILS, HOLDS, Approximation, both, either, exactly, opposite
from translators.chain_match import InexpressibleError, network_of
from translators.mappings.match.headers import FORWARDED_PROTO, variable_of
from translators.mappings.match.matcher_tree import HEADER_INPUT
from translators.mappings.match.string_match import test_of
from translators.mappings.match.tls_context import IS_VALIDATED
from translators.regex import RegexError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from translators.expr import Expr
    from translators.mappings.http_filter.rbac_rule import RuleReader
    from translators.where import Where

_INPUTS = "envoy.extensions.matching.common_inputs"
_CLIENT = f"{_INPUTS}.network.v3.SourceIPInput"
_PORT = f"{_INPUTS}.network.v3.DestinationPortInput"
_METADATA = f"{_INPUTS}.network.v3.DynamicMetadataInput"
_SUBJECT = f"{_INPUTS}.ssl.v3.SubjectInput"
_SANS = (f"{_INPUTS}.ssl.v3.UriSanInput", f"{_INPUTS}.ssl.v3.DnsSanInput")
_ADDRESSES = {_CLIENT: "remote_addr", f"{_INPUTS}.network.v3.DirectSourceIPInput": "realip_remote_addr"}
_TEXTS = {
    **_ADDRESSES,
    f"{_INPUTS}.network.v3.SourcePortInput": "remote_port",
    f"{_INPUTS}.network.v3.ServerNameInput": "ssl_server_name",
    _SUBJECT: "ssl_client_s_dn",
}
_ACTION = "envoy.config.rbac.v3.Action"
_DENY = 1
_IP = "envoy.extensions.matching.input_matchers.ip.v3.Ip"
_IP_TREE = "xds.type.matcher.v3.IPMatcher"
_METADATA_VALUE = "envoy.extensions.matching.input_matchers.metadata.v3.Metadata"
_BY_TLS = expr.equals("scheme", "https")
"""Who speaks plaintext has no certificate, so no name in one."""


class MatcherReader:
    """Reads matcher trees of one route; the first action that is reached decides, and none denies."""

    def __init__(self, reader: RuleReader) -> None:
        """Read for a route.

        Args:
            reader: reads what rules ask too, and reports what cannot be expressed.
        """
        self._reader = reader

    def allowed(self, matcher: xds.Message, at: Where, otherwise: Approximation = FAILS) -> Approximation:
        """Give the condition under which a tree allows a request.

        Args:
            matcher: xds.type.matcher.v3.Matcher.
            at: where it stands.
            otherwise: when requests are allowed that it leads nowhere.
        """
        rest = otherwise
        if matcher.HasField("on_no_match"):
            rest = self._verdict(matcher.on_no_match, at.field("on_no_match"), rest)
        kind = matcher.WhichOneof("matcher_type")
        if kind == "matcher_list":
            for index, one in reversed(list(enumerate(matcher.matcher_list.matchers))):
                place = at.item("matcher_list.matchers", index)
                condition = self._predicate(one.predicate, place.field("predicate"))
                rest = _choose(condition, self._verdict(one.on_match, place.field("on_match"), rest), rest)
        elif kind == "matcher_tree":
            for condition, on_match, place in reversed(list(self._tree(matcher.matcher_tree, at.field(kind)))):
                rest = _choose(condition, self._verdict(on_match, place, rest), rest)
        return rest

    def _verdict(self, found: xds.Message, at: Where, rest: Approximation) -> Approximation:
        """Give when requests are allowed that get to a place."""
        if found.keep_matching:
            return self._reader.lost("HF-RESTRICT", at.field("keep_matching"))
        if found.WhichOneof("on_match") == "matcher":
            return self.allowed(found.matcher, at.field("matcher"), rest)
        action = xds.unpack(found.action.typed_config)
        if action is None or action.DESCRIPTOR.full_name != _ACTION:
            return self._reader.lost("HF-RESTRICT", at.field("action"))
        return FAILS if action.action == _DENY else HOLDS

    def _tree(self, tree: xds.Message, at: Where) -> Iterator[tuple[Approximation, xds.Message, Where]]:
        """Give the ways of a tree in the order in which they are looked at."""
        kind = tree.WhichOneof("tree_type") or ""
        at = at.field(kind)
        if kind == "custom_match":
            yield from self._address_tree(tree, at)
            return
        entries = getattr(tree, kind).map if kind else {}
        matcher = xds.message_class("xds.type.matcher.v3.StringMatcher")()
        for key in sorted(entries, key=lambda text: (-len(text), text)):
            setattr(matcher, kind.partition("_")[0], key)
            place = at.item("map", key)
            yield self._text(tree.input, matcher, place), entries[key], place

    def _address_tree(self, tree: xds.Message, at: Where) -> Iterator[tuple[Approximation, xds.Message, Where]]:
        """Give the ranges of an IPMatcher, the narrower first; a range that stands alone cannot be expressed."""
        config = xds.unpack(tree.custom_match.typed_config)
        if config is None or config.DESCRIPTOR.full_name != _IP_TREE:
            nowhere = xds.message_class("xds.type.matcher.v3.Matcher.OnMatch")()
            yield HOLDS, nowhere, at
            return
        ways = []
        for index, one in enumerate(config.range_matchers):
            place = at.item("range_matchers", index)
            for cidr in one.ranges:
                found = self._ranges(tree.input, [cidr], place)
                ways.append((-cidr.prefix_len.value, index, found, one, place))
        for _, _, found, one, place in sorted(ways, key=lambda way: way[:2]):
            known = self._reader.lost("HF-RESTRICT", place.field("exclusive")) if one.exclusive else found
            yield known, one.on_match, place.field("on_match")

    def _predicate(self, predicate: xds.Message, at: Where) -> Approximation:
        kind = predicate.WhichOneof("match_type") or ""
        at = at.field(kind) if kind else at
        if kind == "not_matcher":
            return opposite(self._predicate(predicate.not_matcher, at))
        if kind in ("or_matcher", "and_matcher"):
            members = getattr(predicate, kind).predicate
            parts = (self._predicate(one, at.item("predicate", index)) for index, one in enumerate(members))
            return either(parts) if kind == "or_matcher" else both(parts)
        single = predicate.single_predicate
        if single.WhichOneof("matcher") == "value_match":
            return self._text(single.input, single.value_match, at)
        return self._custom(single, at)

    def _custom(self, single: xds.Message, at: Where) -> Approximation:
        matcher = xds.unpack(single.custom_match.typed_config)
        kind = matcher.DESCRIPTOR.full_name if matcher is not None else ""
        if matcher is not None and kind == _IP:
            return self._ranges(single.input, matcher.cidr_ranges, at)
        read = xds.unpack(single.input.typed_config)
        if read is None or read.DESCRIPTOR.full_name != _METADATA:
            return self._reader.lost("HF-RESTRICT", at)
        if matcher is None or kind != _METADATA_VALUE:
            return self._reader.lost("HF-META", at)
        asked = xds.message_class("envoy.type.matcher.v3.MetadataMatcher")(
            filter=read.filter, value=matcher.value, invert=matcher.invert
        )
        for step in read.path:
            asked.path.add().key = step.key
        return self._reader.metadata(asked, at) or self._reader.lost("HF-META", at)

    def _ranges(self, data_input: xds.Message, ranges: list[xds.Message], at: Where) -> Approximation:
        variable = _ADDRESSES.get(_name(data_input))
        try:
            networks = [str(network_of(cidr)) for cidr in ranges]
        except InexpressibleError:
            variable = None
        if variable is None or not networks:
            return self._reader.lost("HF-RESTRICT", at)
        if _name(data_input) == _CLIENT:
            self._reader.note_client(at)
        return exactly(expr.ip_match(variable, networks))

    def _text(self, data_input: xds.Message, matcher: xds.Message, at: Where) -> Approximation:
        """Give the condition that an input matches a StringMatcher; one that is missing does not."""
        name = _name(data_input)
        if name in _SANS or name == _METADATA:
            lost = self._reader.lost("TLS-SAN" if name in _SANS else "HF-META", at)
            return both((exactly(_BY_TLS), lost)) if name in _SANS else lost
        if name == _PORT and matcher.WhichOneof("match_pattern") == "exact" and matcher.exact.isdecimal():
            return self._reader.port(int(matcher.exact), at)
        try:
            found = self._test(name, data_input, matcher, at)
        except RegexError:
            return self._reader.lost("RT-REGEX", at)
        if found is None:
            return self._reader.lost("RT-HEADER" if name == HEADER_INPUT else "HF-RESTRICT", at)
        if name == _SUBJECT:
            # An invalid certificate has a subject too, and a chain may ask for certificates without insisting.
            return Approximation(expr.all_of((IS_VALIDATED, found)), found)
        return exactly(found)

    def _test(self, name: str, data_input: xds.Message, matcher: xds.Message, at: Where) -> Expr | None:
        variable = _TEXTS.get(name)
        if name == HEADER_INPUT:
            read = xds.unpack(data_input.typed_config)
            header = read.header_name.lower() if read is not None else ""
            variable = None if header == FORWARDED_PROTO else variable_of(header)
            self._reader.note_header(header, at)
        elif name == _CLIENT:
            self._reader.note_client(at)
        test = test_of(matcher, variable) if variable is not None else None
        return None if test is None else test.holds


def _name(data_input: xds.Message) -> str:
    read = xds.unpack(data_input.typed_config)
    return read.DESCRIPTOR.full_name if read is not None else ""


def _choose(condition: Approximation, then: Approximation, otherwise: Approximation) -> Approximation:
    """Give `then` where the condition holds, `otherwise` where it does not."""
    if then == HOLDS:
        return either((condition, otherwise))
    if then == FAILS:
        return both((opposite(condition), otherwise))
    ways = [both((condition, then)), both((opposite(condition), otherwise))]
    if condition.under != condition.over:
        ways.append(both((then, otherwise)))
    return either(ways)
