"""`meshferry producer`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.role_options import SettingsFile, Views, chosen_views, configured_log, settings_from
from pipeline.cli.sealing import seal_keys
from pipeline.settings import GuardSettings, Settings, SettingsError, ViewSettings
from pipeline.version import build_version

if TYPE_CHECKING:
    from pipeline.log import Log
    from producers.hold import GuardLimits
    from producers.runner import ProducerOptions
    from producers.source import Source

logger = logging.getLogger(__name__)


async def run(*, settings: SettingsFile = "", view: Views = None) -> None:
    """Follow the sources of views and write their units until stopped. Run one per view.

    A source that is broken or away leaves the last good state in force; a log that is away is waited for. Create the
    topics first with `meshferry topics apply`:

    ```sh
    meshferry producer --settings meshferry.yaml --view edge
    ```

    Exit codes: 0 stopped by a signal, 1 another producer of the view took over, 64 usage, 78 bad configuration or a
    missing topic.

    Args:
        settings: settings file.
        view: only these views.
    """
    from producers.runner import run as run_producer  # noqa: PLC0415 - loaded by this role only

    tree = settings_from(settings)
    views = chosen_views(tree, view)
    options = [producer_options(tree, name, log) for name, log in zip(views, _logs(tree, len(views)), strict=True)]
    logger.info("producer: views %s on %s", ", ".join(views), tree.log.url)
    async with asyncio.TaskGroup() as tasks:
        for option in options:
            tasks.create_task(run_producer(option))


def _logs(settings: Settings, count: int) -> list[Log]:
    """Give a log for each view.

    The embedded log is one file, whose watch for changes is shared; on Kafka a view that reconnects must not take the
    others' writers with it.
    """
    if settings.log.url.startswith("sqlite:"):
        return [configured_log(settings)] * count
    return [configured_log(settings) for _ in range(count)]


def producer_options(settings: Settings, view: str, log: Log) -> ProducerOptions:
    """Compose what the role needs for one view.

    Raises:
        SettingsError: the view has no usable source, or there are no keys.
    """
    from pipeline.seal import Sealer  # noqa: PLC0415 - cryptography is slow to import
    from producers.runner import ProducerOptions  # noqa: PLC0415 - loaded by this role only

    keys = seal_keys(settings.seal)
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
