"""Any split of the log, with restarts in between, gives the same image (laws 4 and 5; style.md habit 6)."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from agent.snapshot import (
    Owned,
    Replayed,
    SnapshotBegun,
    SnapshotFinished,
    Step,
    decode_base,
    decode_journal,
    encode_base,
    encode_journal_head,
    encode_steps,
    take_step,
    take_steps_again,
)
from agent.store.bundle import identity
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import bundle, genesis

VALUES = (b"{}", b'{"v":1}', b'{"v":2}')
UNITS = ("a", "b", "c")
OBJECTS = st.dictionaries(st.sampled_from(("/routes/1", "/routes/2", "/upstreams/1")), st.sampled_from(VALUES))
RECORD = st.one_of(
    st.tuples(st.sampled_from(UNITS), st.none()),
    st.tuples(st.sampled_from(UNITS), st.just(b"unreadable")),
    st.builds(
        lambda key, seq, objects: (key, bundle(key, seq, objects)), st.sampled_from(UNITS), st.integers(1, 5), OBJECTS
    ),
)
CUT = st.sampled_from(("go on", "restart from the journal", "restart from a base", "read it all again"))


class Disk(NamedTuple):
    """What a killed agent leaves behind."""

    base: bytes
    journal: bytes


def as_seen(store: Store) -> object:
    image = store.image
    return (
        image.objects,
        image.keys,
        {key: set(units) for key, units in image.carriers.items()},
        image.units,
        image.revision,
        image.provenance,
        image.rejected,
    )


def restart(store: Store, steps: list[Step], base: bytes) -> Store:
    """Come back from a base and what was journaled since."""
    decoded = decode_base(base, "shop", "/apisix", identity)
    again = Store(image=decoded.image)
    take_steps_again(
        again,
        decode_journal(encode_journal_head(decoded.position, Owned("shop", "/apisix")) + encode_steps(steps)).steps,
    )
    assert as_seen(again) == as_seen(store)
    assert again.image.carriers == store.image.carriers
    assert again.image.shift == store.image.shift
    return again


@seed(7)
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(RECORD, CUT), max_size=25))
def test_any_split_of_the_log_gives_the_same_image(cuts: list[tuple[tuple[str, bytes | None], str]]):
    log = [(0, GENESIS_KEY, genesis()), *((at, *record) for at, (record, _) in enumerate(cuts, 1))]
    straight, broken = Store(), Store()
    base, steps, position = encode_base(broken.image, "shop", "/apisix", 0), list[Step](), 0
    for at, record in enumerate(log):
        straight.replay(*record)
        step: Step = Replayed(*record)
        take_step(broken, step)
        steps.append(step)
        cut = cuts[at - 1][1] if at else "go on"
        if cut == "read it all again" and not broken.image.rejected:
            seen = as_seen(broken)
            again: list[Step] = [SnapshotBegun(), *(Replayed(*old) for old in log[: at + 1]), SnapshotFinished()]
            for old in again:
                assert take_step(broken, old) == []
            assert as_seen(broken) == seen
            steps += again
        elif cut.startswith("restart"):
            broken = restart(broken, steps, base)
            if cut == "restart from a base":
                position += len(steps)
                base, steps = encode_base(broken.image, "shop", "/apisix", position), []
    assert as_seen(broken) == as_seen(straight)


@seed(9)
@settings(max_examples=200, deadline=None)
@given(st.lists(RECORD, max_size=25))
def test_a_wiped_agent_comes_to_the_same_image_by_reading_as_one_that_followed(records: list[tuple[str, bytes | None]]):
    log = [(0, GENESIS_KEY, genesis()), *((at, *record) for at, record in enumerate(records, 1))]
    followed, wiped = Store(), Store()
    for record in log:
        followed.replay(*record)
    wiped.begin_snapshot()
    for record in log:
        wiped.replay(*record)
    assert wiped.has_read_units == bool(records)
    assert wiped.finish_snapshot() == []
    assert as_seen(wiped) == as_seen(followed)
    assert wiped.image.carriers == followed.image.carriers
    assert wiped.history.floor == wiped.revision


@seed(8)
@settings(max_examples=200, deadline=None)
@given(st.lists(RECORD, max_size=20), st.integers(0, 20))
def test_a_full_read_ends_with_the_values_of_a_replay(records: list[tuple[str, bytes | None]], known: int):
    log = [(0, GENESIS_KEY, genesis()), *((at, *record) for at, record in enumerate(records, 1))]
    straight, late = Store(), Store()
    for record in log:
        straight.replay(*record)
    for record in log[: known + 1]:
        late.replay(*record)
    before = late.revision
    late.begin_snapshot()
    for record in log:
        late.replay(*record)
    changes = late.finish_snapshot()
    values = {key: kv.value for key, kv in straight.image.objects.items()}
    assert {key: kv.value for key, kv in late.image.objects.items()} == values
    assert late.image.units.keys() == straight.image.units.keys()
    assert late.revision >= before
    assert [change.revision for change in changes] == sorted({change.revision for change in changes})
    assert all(change.revision > before for change in changes)
