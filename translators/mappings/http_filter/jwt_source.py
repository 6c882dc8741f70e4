"""Source: JwtProvider.from_headers, from_params, from_cookies, forward.

Target: where jwt-auth looks for tokens, and what it hides from the upstream.
Fidelity: A.
Differs: one header, one parameter and one cookie at most, all named, since jwt-auth looks at defaults of its own.
    Tokens in parameters are refused unless `forward` is set, for APISIX cannot cut them out of the path as it came; so
    are tokens in two places at once, which Envoy would all verify.
Diagnostics: HF-RESTRICT.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from translators.expr import all_of, any_of, contains, matches, present
from translators.ids import hash80
from translators.mappings.http_filter.jwt_key_id import names_another_key

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr

_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
AUTHORIZATION = "authorization"
_DEFAULT_PARAMETER = "access_token"
_PREFIXES = ("Bearer ", "Bearer", "")
"""What jwt-auth takes off a header; it does so where Envoy would not, too."""
_UNUSED = "x" + hash80("jwt-auth", "no token is here")
"""jwt-auth always looks at a header, a parameter and a cookie: a name for those that are not meant."""


class ProviderError(ValueError):
    """A provider that APISIX cannot verify as strictly as Envoy.

    Attributes:
        code: of the diagnostic.
        field: of the provider.
        remedy: what to do about it.
    """

    def __init__(self, code: str, field: str, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.code, self.field, self.remedy = code, field, remedy


class Sources(NamedTuple):
    """Where tokens are taken from; an empty name is nowhere.

    Attributes:
        header: lower-case.
        prefix: in front of the token in the header.
        parameter: of the query.
        cookie: its name.
        refused: a parameter whose tokens Envoy would take and APISIX must not.
        hides: the header is not sent to the upstream.
    """

    header: str
    prefix: str
    parameter: str
    cookie: str
    refused: str
    hides: bool

    def _tests(self) -> list[Expr]:
        tests = []
        if self.header:
            variable = _header_variable(self.header)
            tests.append(contains(variable, self.prefix) if self.prefix else present(variable))
        tests += [present(f"arg_{name}") for name in (self.parameter, self.refused) if name]
        return tests + ([present(f"cookie_{self.cookie}")] if self.cookie else [])

    def has_token(self) -> Expr:
        """Hold when Envoy finds a token."""
        return any_of(self._tests())

    def is_refused(self) -> Expr:
        """Hold when APISIX would verify another token than Envoy, or one of several that Envoy would all verify."""
        tests = self._tests()
        refused = [all_of((one, other)) for index, one in enumerate(tests) for other in tests[index + 1 :]]
        if self.refused:
            refused.append(present(f"arg_{self.refused}"))
        if self.header and not self.prefix:
            refused.append(matches(_header_variable(self.header), r"\A[Bb]earer "))
        return any_of(refused)

    def names_another_key(self, key_ids: tuple[str, ...]) -> Expr:
        """Hold when a token names a key that is none of these."""
        variables = [_header_variable(self.header)] if self.header else []
        variables += [f"arg_{self.parameter}"] if self.parameter else []
        variables += [f"cookie_{self.cookie}"] if self.cookie else []
        return any_of(names_another_key(variable, key_ids) for variable in variables)

    def plugin(self) -> dict[str, Any]:
        """Give the configuration of jwt-auth."""
        conf: dict[str, Any] = {
            "cookie": self.cookie or _UNUSED,
            "header": self.header or _UNUSED,
            "key_claim_name": "iss",
            "query": self.parameter or _UNUSED,
        }
        return {**conf, "hide_credentials": True} if self.hides else conf


def read_sources(provider: xds.Message) -> Sources:
    """Read where a JwtProvider takes tokens from.

    Raises:
        ProviderError: APISIX cannot look there.
    """
    headers, parameters, cookies = provider.from_headers, list(provider.from_params), list(provider.from_cookies)
    names = [header.name.lower() for header in headers]
    prefixes = [header.value_prefix for header in headers]
    if not (headers or parameters or cookies):
        names, prefixes, parameters = [AUTHORIZATION], ["Bearer "], [_DEFAULT_PARAMETER]
    for field, found in (("from_headers", names), ("from_params", parameters), ("from_cookies", cookies)):
        if len(found) > 1 or not all(map(_NAME.match, found)):
            raise ProviderError("HF-RESTRICT", field, ", ".join(found), "take tokens from one place of each kind")
    if any(prefix not in _PREFIXES for prefix in prefixes):
        raise ProviderError("HF-RESTRICT", "from_headers", prefixes[0], "use the value_prefix `Bearer `")
    header, cookie = _only(names), _only(cookies)
    if not provider.forward and header and cookie:
        raise ProviderError("HF-RESTRICT", "forward", "tokens in a header are hidden, in a cookie not", "set forward")
    if not provider.forward and not (header or cookie):
        raise ProviderError("HF-RESTRICT", "from_params", "parameters are not cut out of the path", "set forward")
    parameter = _only(parameters)
    return Sources(
        header=header,
        prefix=_only(prefixes),
        parameter=parameter if provider.forward else "",
        cookie=cookie,
        refused="" if provider.forward else parameter,
        hides=bool(header) and not provider.forward,
    )


def _only(names: list[str]) -> str:
    return names[0] if names else ""


def _header_variable(name: str) -> str:
    return "http_" + name.replace("-", "_")
