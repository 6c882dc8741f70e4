from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.relation import Relation

STEPS = st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(10, 13))))


@given(STEPS)
def test_both_directions_agree_and_flips_are_first_and_last_owners(steps):
    relation: Relation[int, int] = Relation()
    model: dict[int, set[int]] = {}
    for owner, values in steps:
        before = set().union(*model.values())
        model[owner] = values
        after = set().union(*model.values())
        assert relation.replace(owner, values) == before ^ after
    for owner, values in model.items():
        assert relation.values(owner) == values
    for value in range(10, 14):
        assert relation.owners(value) == {owner for owner, values in model.items() if value in values}
