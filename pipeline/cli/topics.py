"""`meshferry topics plan|apply|check`: the wanted topics against the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from pipeline.cli.exit_code import ExitCode
from pipeline.cli.output import Format, print_rows
from pipeline.cli.role_options import SettingsFile, Views, chosen_views, log_url, settings_from
from pipeline.log import open_log
from pipeline.topics import Action, plan, refuse_unfit, view_specs

if TYPE_CHECKING:
    from pipeline.log import Log, TopicSpec
    from pipeline.topics import Change

app = cyclopts.App(name="topics", help="Compare the topics that the views need with those of the log.")
Output = Annotated[Format | None, Parameter(name=["-o", "--output"])]
COLUMNS = ("topic", "action", "settings", "reason")


@app.command(name="plan")
async def show_plan(*, settings: SettingsFile = "", view: Views = None, output: Output = None) -> int:
    """Print what `apply` would do. Exit code 0.

    Args:
        settings: settings file.
        view: only these views.
        output: table, json or yaml.
    """
    specs, url = _wanted(settings, view)
    async with open_log(url) as log:
        print_rows([_row(change) for change in await _changes(log, specs)], COLUMNS, output)
    return ExitCode.OK


@app.command
async def apply(*, settings: SettingsFile = "", view: Views = None, output: Output = None) -> int:
    """Create missing topics and set the configuration of those that are there. Exit code 78 when one is unfit.

    Args:
        settings: settings file.
        view: only these views.
        output: table, json or yaml.
    """
    specs, url = _wanted(settings, view)
    async with open_log(url) as log:
        states = await log.describe([spec.name for spec in specs])
        refuse_unfit(specs, states)
        changes = plan(specs, states)
        await log.apply(specs)
        print_rows([_row(change) for change in changes], COLUMNS, output)
    return ExitCode.OK


@app.command
async def check(*, settings: SettingsFile = "", view: Views = None, output: Output = None) -> int:
    """Exit with 0 when every topic is as wanted, 2 when `apply` would change something, 78 when a topic is unfit.

    Args:
        settings: settings file.
        view: only these views.
        output: table, json or yaml.
    """
    specs, url = _wanted(settings, view)
    async with open_log(url) as log:
        changes = await _changes(log, specs)
    print_rows([_row(change) for change in changes], COLUMNS, output)
    if any(change.action is Action.REFUSE for change in changes):
        return ExitCode.BAD_CONFIGURATION
    return ExitCode.FINDINGS if changes else ExitCode.OK


def _wanted(settings_file: str, names: list[str] | None) -> tuple[list[TopicSpec], str]:
    settings = settings_from(settings_file)
    views = chosen_views(settings, names)
    specs = [spec for view in views for spec in view_specs(settings.log.prefix, view, settings.log.replication)]
    return specs, log_url(settings)


async def _changes(log: Log, specs: list[TopicSpec]) -> list[Change]:
    return plan(specs, await log.describe([spec.name for spec in specs]))


def _row(change: Change) -> dict[str, str]:
    settings = ", ".join(f"{setting.name}={setting.wanted}" for setting in change.settings)
    return {"topic": change.topic, "action": change.action.value, "settings": settings, "reason": change.reason}
