"""One type of resource on one stream: what was asked for and what was heard. The variants' own is in their files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producers.xds.interest import WILDCARD, Interest
from producers.xds.phase import Phase
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

INVALID_ARGUMENT = 3  # google.rpc.Code

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TypeRule:
    """How a type is subscribed to."""

    type_url: str
    is_wildcard: bool
    """Asked for with an empty list, the legacy wildcard, which means everything (control-planes.md section 5.1)."""
    parents: tuple[str, ...] = ()
    """The types whose resources name resources of this one."""
    after: tuple[str, ...] = ()
    """The types that must have been heard of before this one is first asked for."""


# The order of control-planes.md sections 3.2 and 5.8.
TYPE_RULES = (
    TypeRule(xds.CLUSTER, is_wildcard=True),
    TypeRule(xds.CLUSTER_LOAD_ASSIGNMENT, is_wildcard=False, parents=(xds.CLUSTER,)),
    TypeRule(xds.LISTENER, is_wildcard=True, after=(xds.CLUSTER,)),
    TypeRule(xds.SCOPED_ROUTE_CONFIGURATION, is_wildcard=False, parents=(xds.LISTENER,)),
    TypeRule(xds.ROUTE_CONFIGURATION, is_wildcard=False, parents=(xds.LISTENER, xds.SCOPED_ROUTE_CONFIGURATION)),
    TypeRule(xds.TYPED_EXTENSION_CONFIG, is_wildcard=False, parents=(xds.CLUSTER, xds.LISTENER)),
    TypeRule(xds.SECRET, is_wildcard=False, parents=(xds.CLUSTER, xds.LISTENER, xds.TYPED_EXTENSION_CONFIG)),
)
"""What is asked for in both variants. Of scopes all are asked for, while a listener wants any."""


class Subscription(ABC):
    """What both variants keep of a type.

    Attributes:
        phase: how far the type has got on this stream; the session's table moves it.
        is_answered: a response has been taken at least once.
        is_known: all there is has been told, without a bad resource, so that absence means something.
        is_requested: a request was sent on this stream.
        requested: the names subscribed to on this stream.
        response_count: responses on this stream.
        is_resting: a NACK was sent less than a second ago, the next one must wait.
        doubted: names that an answer seems to take away and that stay until that is confirmed.
    """

    def __init__(self, rule: TypeRule) -> None:
        self.rule = rule
        self.is_answered = False
        self.is_known = False
        self.open()

    def open(self) -> None:
        """Forget everything that belongs to a stream (section 5.2: a new stream forgets nonces)."""
        self.phase = Phase.UNASKED
        self.is_requested = False
        self.requested = NOTHING
        self.response_count = 0
        self.is_resting = False
        self.doubted: set[str] = set()

    @abstractmethod
    def receive(self, response: xds.Message, error_detail: str) -> None:
        """Note a response.

        Args:
            response: a response of this type.
            error_detail: why it is not accepted whole; empty to ACK it.
        """

    def interest(self, names: AbstractSet[str]) -> Interest:
        """Give what is wanted of a response.

        Args:
            names: the names that must be subscribed to.
        """
        return Interest(self.rule.type_url, None if self.rule.is_wildcard else names)

    def is_set(self, names: AbstractSet[str]) -> bool:
        """Tell whether a whole answer says what there is not: all there are were asked for, or all below a name."""
        return self.rule.is_wildcard or WILDCARD in names or self.rule.type_url == xds.VIRTUAL_HOST
