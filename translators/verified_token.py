"""What a filter that verifies tokens tells those behind it (RBAC asks for what Envoy keeps in metadata)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from translators.expr import Expr


class VerifiedToken(NamedTuple):
    """Tokens that a filter in front has verified.

    Attributes:
        condition: holds for requests with such a token, of those that the filter lets pass.
        issuers: whose tokens these can be.
        has_subject: they all have a `sub` that is not empty.
    """

    condition: Expr
    issuers: frozenset[str]
    has_subject: bool = False
