"""`meshferry producer`."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.role_options import SettingsFile, Views, chosen_views, configured_log, settings_from
from pipeline.cli.sealing import current_key_id, seal_keys
from pipeline.cli.settings_watch import SettingsWatch, say_fixed, say_refused
from pipeline.cli.supervisor import Supervisor
from pipeline.reload import choose_views, decide_reload
from pipeline.settings import GuardSettings, Settings, SettingsError, ViewSettings
from pipeline.version import build_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.cli.supervisor import Run
    from pipeline.key_directory import SealKeys
    from pipeline.log import Log
    from pipeline.reload import Reload
    from producers.hold import GuardLimits
    from producers.runner import ProducerOptions
    from producers.source import Source

logger = logging.getLogger(__name__)


async def run(*, settings: SettingsFile = "", view: Views = None) -> None:
    """Follow the sources of views and write their units until stopped. Run one for all views, or for some each.

    Of several producers of a view one leads and writes; the others stand by, and one of them takes over when the leader
    ends, dies or hangs. docs/replicas.md says what they have to share.

    A source that is broken or away leaves the last good state in force; a log that is away is waited for. Create the
    topics first with `meshferry topics apply`:

    ```sh
    meshferry producer --settings meshferry.yaml --view edge
    ```

    The settings are read again on SIGHUP and when their file changes: views that are new, gone or different start, stop
    or begin anew, the others notice nothing (docs/operation.md). A view that fails is tried again and leaves the others
    alone.

    Exit codes: 0 stopped by a signal, 1 a defect, 64 usage, 78 bad configuration or a missing topic; 1 and 78 only when
    it is so for every view.

    Args:
        settings: settings file.
        view: only these views.
    """
    with SettingsWatch(settings) as watch:
        tree = settings_from(settings)
        views = chosen_views(tree, view)
        producer = _Producer(choose_views(tree, views), view or ())
        logger.info("producer: views %s on %s", ", ".join(views), tree.log.url)
        await producer.run(settings, watch)


class _Producer:
    """The views of a process, and the settings in force."""

    def __init__(self, settings: Settings, only: Sequence[str]) -> None:
        """Read what all views share.

        Raises:
            SettingsError: there is no log, or there are no keys.
        """
        self._settings = settings
        self._only = only
        self._log = configured_log(settings)
        self._keys = seal_keys(settings.seal)
        self._supervisor = Supervisor("producer", self._prepare)

    async def run(self, path: str, watch: SettingsWatch) -> None:
        """Run until all views have ended or failed.

        Args:
            path: of the settings file.
            watch: says when it is to be read again.
        """
        self._supervisor.start(self._settings.views)
        try:
            async with asyncio.TaskGroup() as tasks:
                reloading = tasks.create_task(self._follow(path, watch))
                await self._supervisor.ended()
                reloading.cancel()
        finally:
            await self._supervisor.stop_all()

    def _prepare(self, view: str) -> Run:
        from producers.runner import run as run_producer  # noqa: PLC0415 - loaded by this role only

        options = producer_options(self._settings, view, self._log, self._keys)
        return lambda started: run_producer(replace(options, started=started))

    async def _follow(self, path: str, watch: SettingsWatch) -> None:
        while True:
            await watch.changed()
            try:
                new = await asyncio.to_thread(settings_from, path)
                reload = decide_reload(self._settings, new, only=self._only, failing=self._supervisor.failing)
            except SettingsError as error:
                say_refused("producer", path, error)
            else:
                await self._apply(reload)

    async def _apply(self, reload: Reload) -> None:
        say_fixed("producer", (*reload.fixed, *(["the keys for sealing"] if self._has_other_keys() else [])))
        reload = reload.without([view for view in reload.restart if not self._is_usable(reload, view)], self._settings)
        self._settings = reload.settings
        self._supervisor.start(reload.start)
        await self._supervisor.stop(reload.stop | reload.restart)
        self._supervisor.start(reload.restart)
        logger.info("producer: settings read again: %s", _described(reload))

    def _has_other_keys(self) -> bool:
        try:
            return current_key_id(self._settings.seal) != self._keys.key_id
        except SettingsError as error:
            logger.error("producer: %s; the keys that were read at the start stay in use", error)  # noqa: TRY400
            return False

    def _is_usable(self, reload: Reload, view: str) -> bool:
        """Try new settings before a view that works is stopped for them."""
        if view in self._supervisor.failing:
            return True
        try:
            source_of(reload.settings, view)
        except SettingsError as error:
            logger.error("producer %s: %s; the view goes on as it was", view, error)  # noqa: TRY400 - not a defect
            return False
        return True


def _described(reload: Reload) -> str:
    changed = {"started": reload.start, "stopped": reload.stop, "begun anew": reload.restart}
    parts = [f"{word} {', '.join(sorted(views))}" for word, views in changed.items() if views]
    return ", ".join([*parts, f"{len(reload.unchanged)} unchanged"])


def producer_options(settings: Settings, view: str, log: Log, keys: SealKeys) -> ProducerOptions:
    """Compose what the role needs for one view.

    Args:
        settings: the settings in force.
        view: its name.
        log: the log, not yet entered.
        keys: what private keys are sealed with.

    Raises:
        SettingsError: the view has no usable source.
    """
    from pipeline.seal import Sealer  # noqa: PLC0415 - cryptography is slow to import
    from producers.runner import ProducerOptions  # noqa: PLC0415 - loaded by this role only

    return ProducerOptions(
        view=view,
        source=source_of(settings, view),
        log=log,
        prefix=settings.log.prefix,
        sealer=Sealer(keys.public_key, keys.fingerprint_key),
        build=build_version(),
        guard=guard_of(settings.views[view]),
    )


def guard_of(view: ViewSettings) -> GuardLimits | None:
    """Give the limits of a view's guard; None where it is off."""
    from producers.hold import GuardLimits  # noqa: PLC0415 - loaded by this role only

    if view.guard is False:
        return None
    guard = GuardSettings() if view.guard is True else view.guard
    return GuardLimits(guard.share, guard.minimum, round(guard.window_s * 1000))


def source_of(settings: Settings, view: str) -> Source:
    """Make the source of a view.

    Raises:
        SettingsError: the view names none, or the node identity cannot be used.
    """
    wanted = settings.views[view].source
    if wanted.file:
        from producers.files.watch import FileSource  # noqa: PLC0415 - each source loads what it needs

        return FileSource(Path(wanted.file))
    if wanted.xds is None:
        raise SettingsError(f"views.{view}.source: give `file: PATH` or `xds: {{server: HOST:PORT, node_id: …}}`")
    from producers.xds.transport import source_of as xds_source  # noqa: PLC0415 - grpc is slow to import

    try:
        return xds_source(wanted.xds)
    except ValueError as error:
        raise SettingsError(f"views.{view}.source.xds: {error}") from error
