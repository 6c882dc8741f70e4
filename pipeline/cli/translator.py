"""`meshferry translator`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.cli.policy import policy_from
from pipeline.cli.role_options import SettingsFile, Views, chosen_views, configured_log, settings_from
from pipeline.version import build_version

if TYPE_CHECKING:
    from pipeline.log import Log
    from pipeline.settings import Settings
    from translators.runner import TranslatorOptions

logger = logging.getLogger(__name__)


async def run(*, settings: SettingsFile = "", view: Views = None) -> None:
    """Translate units into bundles until stopped. Run as many as you like: they share the views.

    Holds no state of its own; a log that is away is waited for. Create the topics first with `meshferry topics apply`:

    ```sh
    meshferry translator --settings meshferry.yaml
    ```

    Exit codes: 0 stopped by a signal, 64 usage, 78 bad configuration or a missing topic.

    Args:
        settings: settings file.
        view: only these views.
    """
    from translators.runner import run as run_translator  # noqa: PLC0415 - loaded by this role only

    tree = settings_from(settings)
    views = chosen_views(tree, view)
    options = translator_options(tree, views, configured_log(tree))  # refuses a URL with a password before it is logged
    logger.info("translator: views %s on %s", ", ".join(views), tree.log.url)
    await run_translator(options)


def translator_options(settings: Settings, views: list[str], log: Log) -> TranslatorOptions:
    """Compose what the role needs."""
    from translators.runner import TranslatorOptions  # noqa: PLC0415 - loaded by this role only

    return TranslatorOptions(
        log=log,
        policies={view: policy_from(settings.views[view].policy, f"views.{view}.policy") for view in views},
        prefix=settings.log.prefix,
        group=settings.translator.group,
        build=build_version(),
    )
