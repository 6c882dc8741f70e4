"""Each view of a process in a task of its own: one that fails leaves the others alone."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.backoff import Backoff
from pipeline.cli.exit_code import exit_code_of, message_of
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable

    Run: TypeAlias = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]
    """Runs a view until it is cancelled or fails, and calls its argument once the view works."""

logger = logging.getLogger(__name__)

BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 60.0


class Supervisor:
    """Starts and stops views, and tries those that failed again.

    The process has something to end for only when none of its views has ever worked and all have failed, or when all
    are through.
    """

    def __init__(self, role: str, prepare: Callable[[str], Run]) -> None:
        """Start with no view.

        Args:
            role: for the log.
            prepare: called before each attempt with the view's name; may raise SettingsError.
        """
        self._role = role
        self._prepare = prepare
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, Exception] = {}
        self._through: set[str] = set()
        self._has_worked = False
        self._over = asyncio.Event()

    @property
    def failing(self) -> frozenset[str]:
        """The views whose last attempt failed and which have not worked since."""
        return frozenset(self._failures)

    def start(self, views: Iterable[str]) -> None:
        """Start views that are not running."""
        for view in views:
            self._tasks[view] = asyncio.create_task(self._keep(view), name=f"{self._role} {view}")

    async def stop(self, views: Collection[str]) -> None:
        """Stop views, and wait until what they have open is closed."""
        tasks = [self._tasks[view] for view in views]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for view in views:
            del self._tasks[view]
            self._failures.pop(view, None)
            self._through.discard(view)

    async def stop_all(self) -> None:
        """Stop every view."""
        await self.stop(list(self._tasks))

    async def ended(self) -> None:
        """Wait until nothing is left to be done.

        Raises:
            Exception: what the only view ended with; an ExceptionGroup where there are several.
        """
        await self._over.wait()
        errors = [self._failures[view] for view in sorted(self._failures)]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("no view works", errors)

    async def _keep(self, view: str) -> None:
        backoff = Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S, random.random)
        while view not in self._through:
            try:
                await self._prepare(view)(lambda: self._works(view, backoff))
                self._failures.pop(view, None)
                self._through.add(view)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this view's alone
                self._failures[view] = error
            self._look()
            if view in self._failures:
                await self._wait(view, backoff)

    def _works(self, view: str, backoff: Backoff) -> None:
        self._has_worked = True
        self._failures.pop(view, None)
        backoff.reset()

    def _look(self) -> None:
        """See whether the process is to end."""
        hopeless = self._through if self._has_worked else self._through | self._failures.keys()
        if hopeless >= self._tasks.keys():
            self._over.set()

    async def _wait(self, view: str, backoff: Backoff) -> None:
        """Say what is wrong, and wait for the time of the next attempt; some only a reload can mend."""
        error = self._failures[view]
        delay_s = None if isinstance(error, SettingsError) else backoff.next_s()
        when = "at the next reload" if delay_s is None else f"in {delay_s:.1f} s"
        if not (self._over.is_set() and len(self._tasks) == 1):  # then it is the process's own last word
            is_defect = exit_code_of(error) is None
            text = "%s %s: %s; tried again %s"
            logger.error(text, self._role, view, message_of(error), when, exc_info=error if is_defect else None)
        if delay_s is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(delay_s)
