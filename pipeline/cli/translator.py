"""`meshferry translator`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from pipeline.cli.policy import policy_from
from pipeline.cli.role_options import SettingsFile, Views, chosen_views, configured_log, settings_from
from pipeline.cli.schemas import read_reference
from pipeline.cli.settings_watch import SettingsWatch, say_fixed, say_refused
from pipeline.log import BrokenTopicError, LogUnreachableError
from pipeline.reload import TRANSLATOR_FIXED, choose_views, keep_fixed
from pipeline.settings import SettingsError
from pipeline.topics import refuse_unfit, view_specs
from pipeline.version import build_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.log import Log
    from pipeline.settings import Settings
    from translators.runner import TranslatorOptions

logger = logging.getLogger(__name__)

CHECK_AGAIN_S = 15.0
"""How often settings are tried again whose views have no topics yet."""


async def run(*, settings: SettingsFile = "", view: Views = None) -> None:
    """Translate units into bundles until stopped. Run as many as you like: they share the views.

    Holds no state of its own; a log that is away is waited for. Create the topics first with `meshferry topics apply`:

    ```sh
    meshferry translator --settings meshferry.yaml
    ```

    The settings are read again on SIGHUP and when their file changes, for other views and policies
    (docs/operation.md).

    Exit codes: 0 stopped by a signal, 64 usage, 78 bad configuration or a missing topic.

    Args:
        settings: settings file.
        view: only these views.
    """
    with SettingsWatch(settings) as watch:
        tree = settings_from(settings)
        translator = _Translator(choose_views(tree, chosen_views(tree, view)), view or ())
        logger.info("translator: views %s on %s", ", ".join(sorted(translator.options.policies)), tree.log.url)
        await translator.run(settings, watch)


class _Translator:
    """One worker, and the settings in force."""

    def __init__(self, settings: Settings, only: Sequence[str]) -> None:
        """Compose what the worker begins with.

        Raises:
            SettingsError: no log is named, by something that is no URL of a log, or a policy cannot be used.
        """
        self._settings = settings
        self._only = only
        self.options = translator_options(settings, sorted(settings.views), configured_log(settings))

    async def run(self, path: str, watch: SettingsWatch) -> None:
        """Translate, with what the settings say now.

        Args:
            path: of the settings file.
            watch: says when it is to be read again.
        """
        from translators.runner import run as run_translator  # noqa: PLC0415 - loaded by this role only

        while True:
            working = asyncio.create_task(run_translator(self.options))
            reloading = asyncio.create_task(self._changed(path, watch))
            try:
                await asyncio.wait({working, reloading}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                working.cancel()
                reloading.cancel()
                await asyncio.gather(working, reloading, return_exceptions=True)
            if not working.cancelled():
                return working.result()
            self._settings = reloading.result()
            self.options = translator_options(self._settings, sorted(self._settings.views), self.options.log)
            logger.info("translator: settings read again: views %s", ", ".join(sorted(self._settings.views)))

    async def _changed(self, path: str, watch: SettingsWatch) -> Settings:
        """Wait for settings that make a difference and can be used; those that wait for topics are tried again."""
        again_s: float | None = None
        said = ""
        while True:
            await _changed_within(watch, again_s)
            again_s = None
            try:
                new = await self._read(path)
                if new is None:
                    continue
                await _check_topics(new, new.views.keys() - self._settings.views.keys())
            except (SettingsError, BrokenTopicError, LogUnreachableError) as error:
                if str(error) != said:
                    say_refused("translator", path, error)
                said = str(error)
                again_s = None if isinstance(error, SettingsError) else CHECK_AGAIN_S
            else:
                return new

    async def _read(self, path: str) -> Settings | None:
        """Read the settings; None when they make no difference.

        Raises:
            SettingsError: they cannot be used.
        """
        whole = choose_views(await asyncio.to_thread(settings_from, path), self._only)
        new, fixed = keep_fixed(self._settings, whole, TRANSLATOR_FIXED)
        options = translator_options(new, sorted(new.views), self.options.log)
        say_fixed("translator", fixed)
        if options == self.options:
            logger.info("translator: settings read again: nothing has changed for it")
            return None
        return new


async def _changed_within(watch: SettingsWatch, timeout_s: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await watch.changed()


async def _check_topics(settings: Settings, views: Iterable[str]) -> None:
    """Look at the topics of new views before the work on the others is interrupted for them.

    Raises:
        BrokenTopicError: one is missing or unfit.
        LogUnreachableError: nothing can be found out now.
    """
    specs = [spec for view in sorted(views) for spec in view_specs(settings.log.prefix, view)]
    async with configured_log(settings) as log:
        states = await log.describe([spec.name for spec in specs])
    refuse_unfit(specs, states)
    if missing := [state.name for state in states if not state.is_present]:
        raise BrokenTopicError(f"{missing[0]}: no such topic; create it with `meshferry topics apply`")


def translator_options(settings: Settings, views: list[str], log: Log) -> TranslatorOptions:
    """Compose what the role needs."""
    from translators.runner import TranslatorOptions  # noqa: PLC0415 - loaded by this role only

    return TranslatorOptions(
        log=log,
        policies={view: policy_from(settings.views[view].policy, f"views.{view}.policy") for view in views},
        prefix=settings.log.prefix,
        group=settings.translator.group,
        build=build_version(),
        reference=read_reference(settings.translator.schemas, "translator.schemas"),
    )
