"""Source: envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth, ApiKeyAuthPerRoute.

Target: a guard that answers 401 where there is no key; key-auth with a consumer per key, and consumer-restriction.
Fidelity: A: never weaker; what cannot be expressed is answered 403.
Differs: a key stands in one header, or else in one query parameter; what Envoy takes off (`Bearer `) belongs to the key
    here, so that such a key is refused. A key that is wrong, or of another client, is refused with another body. Keys
    are known in the whole node: where two listeners have one key for different clients, one of them refuses it.
    A key cannot be cut out of the path, so hide_credentials goes with headers only.
Diagnostics: HF-DUP, HF-RESTRICT.
See: mapping.md sections 4.7 and 6.5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from translators.block import abort
from translators.consumer import ADDED_HEADERS, CLIENT_HEADER, consumer_name, recognising
from translators.expr import any_of, matches, negate
from translators.format_string import Variable
from translators.header_step import OVERWRITE, Mutation, Step
from translators.ids import hash80
from translators.mappings.http_filter.switch import has_unknown_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas import xds
    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_PER_ROUTE = "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute"
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_MISSING = abort(_UNAUTHORIZED, "Client authentication failed.", {"Content-Type": "text/plain"})
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
_CLIENT = re.compile(r"\S{1,256}\Z")
"""What the label of a consumer can hold."""
_UNUSED = "x" + hash80("key-auth", "no key is here")
"""key-auth always looks at a header and a parameter: a name for the one that is not meant."""
_NOBODY = consumer_name("key-auth", {})
_ONE_SOURCE = "take keys from one header, or one query parameter behind it"


class SettingError(ValueError):
    """Settings that APISIX cannot enforce.

    Attributes:
        field: of the message.
        remedy: what to do about it.
    """

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.field, self.remedy = field, remedy


class Settings(NamedTuple):
    """The settings in force on a route.

    Attributes:
        credentials: key (sealed where producers seal) and client.
        header, parameter: where keys are; empty = nowhere.
        forwarded: header that tells the upstream the client; empty = none.
        hides: the upstream does not see the key.
        allowed: clients that may pass; None = all.
    """

    credentials: tuple[tuple[str, str], ...]
    header: str
    parameter: str
    forwarded: str
    hides: bool
    allowed: frozenset[str] | None

    def has_key(self) -> Expr:
        """Hold when there is a key; an empty one is none."""
        tests = [matches("http_" + self.header.replace("-", "_"), "(?s:.)")] if self.header else []
        return any_of([*tests, matches(f"arg_{self.parameter}", "(?s:.)")] if self.parameter else tests)

    def plugin(self) -> dict[str, Any]:
        """Give the configuration of key-auth."""
        conf: dict[str, Any] = {"header": self.header or _UNUSED, "query": self.parameter or _UNUSED}
        return {**conf, "hide_credentials": True} if self.hides else conf


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Let in who has a key, and on some routes only some clients."""
    if http_filter.config is None or http_filter.has_unreadable_override or _has_unknown_fields(http_filter):
        if findings.blocks("HF-RESTRICT", at):
            draft.deny("HF-RESTRICT")
        return
    try:
        settings = read_settings(http_filter.config, _per_route(http_filter))
        consumers = _consumers(settings, http_filter.context.consumers)
    except SettingError as error:
        if findings.blocks("HF-RESTRICT", at.field(error.field), value=str(error), remedy=error.remedy):
            draft.deny("HF-RESTRICT")
        return
    names = [name for name, (client, _) in consumers.items() if settings.allowed is None or client in settings.allowed]
    plugins = recognising("key-auth", settings.plugin(), names or [_NOBODY], _FORBIDDEN)
    if not draft.plugins.keys().isdisjoint(plugins):
        if findings.blocks("HF-DUP", at):
            draft.deny("HF-DUP")
        return
    draft.answer(http_filter.name, _MISSING, (negate(settings.has_key()),))
    for place, (name, conf) in enumerate(reversed(plugins.items())):
        draft.add_plugin(name, conf, http_filter.index, place)
    http_filter.context.consumers.update({name: value for name, (_, value) in consumers.items()})
    draft.request.extend(_steps(settings, at))


def _per_route(http_filter: EffectiveFilter) -> xds.Message | None:
    override = http_filter.override
    return override if override is not None and override.DESCRIPTOR.full_name == _PER_ROUTE else None


def _has_unknown_fields(http_filter: EffectiveFilter) -> bool:
    override = http_filter.override
    return has_unknown_fields(http_filter.config) or (override is not None and has_unknown_fields(override))


def read_settings(config: xds.Message, override: xds.Message | None) -> Settings:
    """Read what is in force: keys and their places are the listener's unless the route has its own; forwarding is not.

    Args:
        config: ApiKeyAuth.
        override: ApiKeyAuthPerRoute; None = the route says nothing.

    Raises:
        SettingError: APISIX cannot enforce it.
    """
    chosen = override if override is not None else config
    credentials = chosen.credentials or config.credentials
    sources = chosen.key_sources or config.key_sources
    forwarding = chosen.forwarding
    header, parameter = _read_sources(sources)
    if forwarding.hide_credentials and parameter:
        raise SettingError("forwarding", "keys in the query cannot be hidden", "take keys from a header")
    allowed = frozenset(override.allowed_clients) if override is not None and override.allowed_clients else None
    found = Settings(
        credentials=tuple((one.key, one.client) for one in credentials),
        header=header,
        parameter=parameter,
        forwarded=forwarding.header.lower(),
        hides=forwarding.hide_credentials,
        allowed=allowed,
    )
    if found.forwarded and not all(_CLIENT.match(client) for _, client in found.credentials):
        raise SettingError("forwarding", "a client with spaces in its name", "name clients without spaces")
    return found


def _read_sources(sources: Iterable[xds.Message]) -> tuple[str, str]:
    """Give header and query parameter; of a source Envoy looks at the header alone, else the query, else the cookie."""
    places = [place for place in map(_place, sources) if place is not None]
    kinds = [kind for kind, _ in places]
    if kinds not in (["header"], ["query"], ["header", "query"]):
        raise SettingError("key_sources", ", ".join(kinds) or "nowhere", _ONE_SOURCE)
    if not all(_NAME.match(name) for _, name in places):
        raise SettingError("key_sources", ", ".join(name for _, name in places), "use names of [A-Za-z0-9_-]")
    named = dict(places)
    return named.get("header", "").lower(), named.get("query", "")


def _place(source: xds.Message) -> tuple[str, str] | None:
    return next(
        ((kind, getattr(source, kind)) for kind in ("header", "query", "cookie") if getattr(source, kind)), None
    )


def _consumers(settings: Settings, known: Mapping[str, dict[str, Any]]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Give client and value of every key's consumer, by name.

    Args:
        settings: with the keys.
        known: consumers of the unit.

    Raises:
        SettingError: a key is another client's in another filter; APISIX knows a key once.
    """
    found = {}
    owners = {one["plugins"]["key-auth"]["key"]: name for name, one in known.items() if "key-auth" in one["plugins"]}
    for key, client in settings.credentials:
        name = consumer_name("key-auth", {"client": client, "key": key})
        if owners.setdefault(key, name) != name:
            raise SettingError("credentials", f"a key of {client} and of another", "give every client keys of its own")
        labels = {"labels": {"custom_id": client}} if _CLIENT.match(client) else {}
        found[name] = (client, {"plugins": {"key-auth": {"key": key}}, **labels})
    return found


def _steps(settings: Settings, at: Where) -> list[Step]:
    """Tell the upstream the client as Envoy does, and nothing else about the consumer."""
    removed = Step(removed=(*ADDED_HEADERS, CLIENT_HEADER))
    if not settings.forwarded:
        return [removed]
    client = Variable("http_" + CLIENT_HEADER.replace("-", "_"))
    told = Mutation(settings.forwarded, (client,), OVERWRITE, keeps_empty=False, at=at.field("forwarding"))
    return [Step(mutations=(told,)), removed]
