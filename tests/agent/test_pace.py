from __future__ import annotations

import pytest

from agent.pace import RouterPace
from agent.store.delta import Change, Event
from agent.store.image import KeyValue


def published(*keys: str) -> list[Change]:
    return [Change(7, tuple(Event(f"/apisix{key}".encode(), KeyValue(b"{}", 7, 7, 1), None) for key in keys))]


@pytest.mark.parametrize(
    ("keys", "wait_s"),
    [
        (("/routes/1",), 0.4),
        (("/upstreams/1", "/services/1"), 0.4),
        (("/upstreams/1",), 0.0),
        (("/routes_of_another_tree/1",), 0.0),
        ((), 0.0),
    ],
)
def test_what_makes_apisix_build_its_router_delays_what_comes_next(keys: tuple[str, ...], wait_s: float):
    pace = RouterPace(2, "/apisix")
    pace.count(published(*keys), now_s=100.0)
    assert pace.wait_s(100.1) == pytest.approx(wait_s)
    assert pace.wait_s(100.5) == 0


def test_without_a_limit_nothing_waits():
    pace = RouterPace(0, "/apisix")
    pace.count(published("/routes/1"), now_s=100.0)
    assert pace.wait_s(100.0) == 0
