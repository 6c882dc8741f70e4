from __future__ import annotations

import pytest

from producers.unit_key import UnitName, name_of
from schemas.records import Unit, UnitKind

NAMES = [
    UnitName(UnitKind.SECRET, ("a/b",)),
    UnitName(UnitKind.TLS, ("*",)),
    UnitName(UnitKind.HTTP, ("l", "c", "r", "*")),
    UnitName(UnitKind.HTTP, ("l", "c", "r", "*"), is_any_host=True),
    UnitName(UnitKind.HTTP, ("l", "c", "r", "50%/*")),
    UnitName(UnitKind.STREAM, ("l",)),
    UnitName(UnitKind.VIEW, ("v",)),
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.key)
def test_a_name_is_found_again_from_the_unit(name: UnitName):
    assert name_of(Unit(name.kind, name.key, name.params, ())) == name


def test_no_two_names_share_a_key():
    assert len({name.key for name in NAMES}) == len(NAMES)
