"""Source: token buckets of local_ratelimit, limits of a rate limit service that the operator gives.

Target: `limit-count`, whose `group` all routes of a bucket share; where it cannot count a bucket, `limit-req`, or
`limit-count` with one rule a bucket, or `workflow` with one case a bucket, in a service that the routes share.
Fidelity: A; E as limit-req.
Differs: limit-count grants a whole bucket a window, beginning with the first request; Envoy fills it continuously. The
average and the largest burst are the same. Nodes count for themselves, each for all its workers.
Diagnostics: raised by limit_plugin.py.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from translators.expr import ALWAYS, NEVER, all_of, any_of, conjuncts, present

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas import xds
    from translators.expr import Expr
    from translators.mappings.http_filter.rate_limit_action import Descriptor, Entry

_NS_PER_S = 1_000_000_000
UNLIMITED = 2**32 - 1
"""What control planes write for a bucket that is never empty."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that requests use up.

    Attributes:
        capacity: tokens of the full bucket.
        tokens: that are added each interval.
        interval_ns: in nanoseconds.
    """

    capacity: int
    tokens: int
    interval_ns: int

    @property
    def fill_ns(self) -> int:
        """How long an empty bucket takes to be full, rounded up."""
        return -(-self.capacity * self.interval_ns // self.tokens)

    @property
    def window_s(self) -> int:
        """The same in seconds; 0 when it is no whole number of them, which limit-count cannot count."""
        return self.fill_ns // _NS_PER_S if self.fill_ns % _NS_PER_S == 0 else 0

    @property
    def rate_per_s(self) -> float:
        """Tokens a second."""
        rate = self.tokens * _NS_PER_S / self.interval_ns
        return int(rate) if rate == int(rate) else rate


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket, or one for each value of a key.

    Attributes:
        name: tells the limits of one owner apart.
        key: a template of what is counted apart; empty when all requests are counted together.
        condition: which requests are counted.
    """

    bucket: Bucket
    name: str = ""
    key: str = ""
    condition: Expr = ALWAYS

    @property
    def is_rule(self) -> bool:
        """A rule of limit-count counts whom it should by its key alone."""
        return self.condition == ALWAYS or (self.key.count("$") == 1 and self.condition == present(self.key[2:-1]))


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a filter counts.

    Attributes:
        owner: names whose buckets these are; routes with the same owner share them.
        status: of the answer to requests without a token.
        text: of the same.
        has_headers: x-ratelimit-limit, -remaining and -reset are written.
        condition: which requests are counted at all.
        primary: the limit that limit-count counts where it can; the same on all routes, so that one plugin counts it.
    """

    owner: tuple[str, ...]
    status: int
    text: str
    has_headers: bool
    condition: Expr
    primary: Limit | None


def bucket_of(tokens: xds.Message) -> Bucket | None:
    """Read an envoy.type.v3.TokenBucket; None when it is never empty."""
    interval_ns = tokens.fill_interval.seconds * _NS_PER_S + tokens.fill_interval.nanos
    filled = tokens.tokens_per_fill.value if tokens.HasField("tokens_per_fill") else 1
    if tokens.max_tokens >= UNLIMITED:
        return None
    return Bucket(tokens.max_tokens, max(filled, 1), max(interval_ns, 1))


def limits_of(
    descriptors: Iterable[Descriptor], wanted: Sequence[tuple[str, str]], bucket: Bucket
) -> list[Limit] | None:
    """Give the limits of one bucket on descriptors that requests may have.

    Args:
        descriptors: of requests.
        wanted: keys and values that use the bucket; an empty value is any, each with a bucket of its own.
        bucket: the bucket.

    Returns:
        None when what would be counted apart cannot be told.
    """
    found: dict[str, list[Expr]] = {}
    for descriptor in descriptors:
        if [entry.key for entry in descriptor.entries] != [key for key, _ in wanted]:
            continue
        pairs = list(zip(descriptor.entries, (value for _, value in wanted), strict=True))
        condition = _with_values(descriptor.condition, [(entry, value) for entry, value in pairs if value])
        if condition == NEVER:
            continue
        free = [entry for entry, value in pairs if not value]
        if not all(entry.is_readable for entry in free):
            return None
        key = "|".join(f"${{{entry.variable}}}" for entry in free if entry.variable)
        found.setdefault(key, []).append(condition)
    return [Limit(bucket, limit_name(wanted), key, any_of(conditions)) for key, conditions in found.items()]


def limit_name(wanted: Iterable[tuple[str, str]]) -> str:
    """Name the limit of a descriptor."""
    return "|".join(f"{key}={value}" for key, value in wanted)


def _with_values(condition: Expr, pairs: list[tuple[Entry, str]]) -> Expr:
    """Require values; a variable that has a value is there."""
    implied = {present(entry.variable) for entry, _ in pairs if entry.variable}
    kept = [one for one in conjuncts((condition,)) if one not in implied]
    return all_of((*kept, *(entry.condition(value) for entry, value in pairs)))
