from __future__ import annotations

import pytest

from producers.xds.validate import name_of
from schemas import xds
from tests.corpus.replay import HABITS, Replay, main, replay_case
from tests.producers.xds.dialogue import bad_listener, endpoints
from tests.producers.xds.state import STATE

RECORDED = {(xds.type_url_of(message), name_of(message)): message for message in STATE}
SEEDS = range(10)


@pytest.mark.parametrize("habit", HABITS)
def test_in_whatever_order_it_is_told_a_state_is_followed_whole_and_a_second_stream_changes_nothing(habit):
    for seed in SEEDS:
        replay = Replay(RECORDED, habit, seed)
        replay.run()
        assert replay.image == {key: xds.canonical_bytes(body) for key, body in RECORDED.items()}
        assert not replay.moved
        assert not replay.rejections


def test_what_is_rejected_or_unreferenced_is_counted_and_in_a_whole_view_it_is_lost():
    state = {**RECORDED, (xds.LISTENER, "k"): bad_listener("k"), (xds.CLUSTER_LOAD_ASSIGNMENT, "z"): endpoints("z")}
    tally, wrong = replay_case(state, 0, is_live=False)
    assert not wrong
    assert (tally["rejected"], tally["unreferenced"], tally["followed"]) == (3, 3, 3 * len(STATE))
    tally, wrong = replay_case(state, 0, is_live=True)
    assert tally["lost"] == 6
    assert len(wrong) == 6


def test_a_folder_without_cases_is_no_success(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert main([]) == 64
    assert "usage:" in capsys.readouterr().err
