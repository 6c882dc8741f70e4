from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pipeline.cli import supervisor as module
from pipeline.cli.supervisor import Supervisor
from pipeline.log import BrokenTopicError
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable


class Views:
    """Views that do what a test says: work until they are stopped, end, or fail."""

    def __init__(self, **errors: Exception | None) -> None:
        self.errors = errors
        """What a view fails with; None ends it; a view that is not here works."""
        self.attempts: Counter[str] = Counter()
        self.closed: list[str] = []
        self.breaks: dict[str, asyncio.Event] = {}
        self._tried = asyncio.Condition()
        self.supervisor = Supervisor("producer", self.prepare)

    def prepare(self, view: str):
        if isinstance(self.errors.get(view), SettingsError):
            self.attempts[view] += 1
            raise self.errors[view]
        return lambda started: self.run(view, started)

    async def run(self, view: str, started: Callable[[], None]) -> None:
        self.attempts[view] += 1
        async with self._tried:
            self._tried.notify_all()
        if view in self.errors:
            if (error := self.errors[view]) is not None:
                raise error
            return
        started()
        self.breaks[view] = asyncio.Event()
        try:
            await self.breaks[view].wait()
            raise BrokenTopicError(f"{view} broke")
        finally:
            self.closed.append(view)

    async def until(self, view: str, attempts: int) -> None:
        async with asyncio.timeout(5), self._tried:
            await self._tried.wait_for(lambda: self.attempts[view] >= attempts)

    async def ended(self) -> None:
        await asyncio.wait_for(self.supervisor.ended(), 5)

    async def goes_on(self) -> bool:
        try:
            await asyncio.wait_for(self.supervisor.ended(), 0.1)
        except TimeoutError:
            return True
        return False


@pytest.fixture
async def views(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BACKOFF_BASE_S", 0.001)
    monkeypatch.setattr(module, "BACKOFF_CAP_S", 0.01)
    views = Views()
    yield views
    await views.supervisor.stop_all()


async def test_the_only_view_that_fails_at_the_start_ends_the_process(views: Views, caplog):
    views.errors = {"a": BrokenTopicError("no topic")}
    views.supervisor.start(["a"])
    with pytest.raises(BrokenTopicError, match="no topic"):
        await views.ended()
    assert caplog.records == []  # the process says it


async def test_all_views_that_fail_at_the_start_end_the_process(views: Views, caplog):
    views.errors = {"a": SettingsError("bad a"), "b": BrokenTopicError("bad b")}
    views.supervisor.start(["a", "b"])
    with pytest.raises(ExceptionGroup) as caught:
        await views.ended()
    assert [str(error) for error in caught.value.exceptions] == ["bad a", "bad b"]
    assert "producer a: bad a" in caplog.text
    assert "producer b: bad b" in caplog.text


async def test_a_view_that_fails_is_tried_again_and_the_others_run(views: Views, caplog):
    views.errors = {"a": BrokenTopicError("no topic")}
    views.supervisor.start(["a", "b"])
    await views.until("a", 3)
    assert views.supervisor.failing == {"a"}
    assert views.attempts["b"] == 1
    assert "producer a: no topic; tried again in" in caplog.text
    views.errors = {}
    await views.until("a", views.attempts["a"] + 1)
    assert views.supervisor.failing == frozenset()
    assert await views.goes_on()


async def test_a_view_that_has_worked_is_tried_again_even_if_it_is_the_only_one(views: Views):
    views.supervisor.start(["a"])
    await views.until("a", 1)
    views.breaks["a"].set()
    await views.until("a", 2)
    assert await views.goes_on()


async def test_a_defect_in_one_view_is_told_with_its_traceback_and_stays_there(views: Views, caplog):
    views.errors = {"a": KeyError("x")}
    views.supervisor.start(["a", "b"])
    await views.until("a", 2)
    assert any(record.exc_info for record in caplog.records)
    assert views.attempts["b"] == 1
    assert await views.goes_on()


async def test_settings_are_tried_again_only_by_a_reload(views: Views, caplog):
    views.errors = {"a": SettingsError("bad a")}
    views.supervisor.start(["a", "b"])
    assert await views.goes_on()
    assert views.attempts["a"] == 1
    assert "producer a: bad a; tried again at the next reload" in caplog.text
    views.errors = {}
    await views.supervisor.stop(["a"])
    views.supervisor.start(["a"])
    await views.until("a", 2)
    assert views.supervisor.failing == frozenset()


async def test_sources_that_end_end_the_process(views: Views):
    views.errors = {"a": None, "b": None}
    views.supervisor.start(["a", "b"])
    await views.ended()


async def test_a_stopped_view_has_closed_what_it_had_open_and_the_others_notice_nothing(views: Views):
    views.supervisor.start(["a", "b"])
    await views.until("a", 1)
    await views.until("b", 1)
    await views.supervisor.stop(["a"])
    assert views.closed == ["a"]
    views.supervisor.start(["a"])
    await views.until("a", 2)
    assert (views.attempts["b"], views.closed) == (1, ["a"])
