"""Translate every golden input and print a digest per case: what another process must print too.

`python -m tests.translators.golden_digest SEED`: a seed other than 0 shuffles the keys of every map of the input and of
the units' params first.
"""

from __future__ import annotations

import hashlib
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.codec import encode
from tests.golden.case import ROOT, case_paths, load, units_of
from translators import translate
from translators.policy import Policy

if TYPE_CHECKING:
    from schemas.records import Unit


@dataclass(frozen=True)
class Shuffle:
    """Reorders what has no order."""

    seed: int

    def of(self, value: Any) -> Any:
        """Give the same document with the keys of its maps in another order."""
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if not isinstance(value, dict):
            return value
        keys = list(value)
        if self.seed:
            random.Random(self.seed).shuffle(keys)
        return {key: self.of(value[key]) for key in keys}


def bundles_of(case: dict[str, Any], seed: int) -> dict[str, bytes]:
    """Give the bundle of each unit of a case as it goes into the log, by unit key."""
    shuffle = Shuffle(seed)
    policy = msgspec.convert(case.get("policy", {}), Policy)
    units: list[Unit] = units_of(shuffle.of(case["input"]))
    given = [msgspec.structs.replace(unit, params=shuffle.of(unit.params)) for unit in units]
    return {unit.key: encode(translate(unit, policy)) for unit in given}


def main(seed: int) -> None:
    """Print a line per unit: the case, the unit's key and the digest of its bundle."""
    for path in case_paths():
        case = load(path)
        for key, bundle in sorted(bundles_of(case, seed).items()):
            sys.stdout.write(f"{path.relative_to(ROOT)} {key} {hashlib.sha256(bundle).hexdigest()}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
