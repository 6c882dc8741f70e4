"""`meshferry topics plan|apply|check`: the wanted topics against the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from pipeline.cli.exit_code import ExitCode
from pipeline.cli.output import Format, print_rows
from pipeline.cli.role_options import SettingsFile, Views, chosen_views, configured_log, settings_from
from pipeline.topics import Action, plan, refuse_unfit, view_specs

if TYPE_CHECKING:
    from pipeline.log import Log, TopicSpec
    from pipeline.topics import Change

app = cyclopts.App(
    name="topics",
    help=(
        "Compare the topics that the views need with those of the log.\n\n"
        "`plan` shows what `apply` would do; `check` is for scripts. A topic with a wrong cleanup.policy or more than "
        "one partition is refused, never changed."
    ),
    help_epilogue="",  # each tells its own exit codes
)
Output = Annotated[Format | None, Parameter(name=["-o", "--output"])]
COLUMNS = ("topic", "action", "settings", "reason")


@app.command(name="plan")
async def show_plan(*, settings: SettingsFile = "", view: Views = None, output: Output = None) -> int:
    """Print what `apply` would do.

    ```sh
    meshferry topics plan --settings meshferry.yaml
    ```

    Exit codes: 0 ok, whatever is found, 64 usage, 69 log unreachable, 78 bad configuration.

    Args:
        settings: settings file.
        view: only these views.
        output: table, json or yaml.
    """
    specs, found_log = _wanted(settings, view)
    async with found_log as log:
        print_rows([_row(change) for change in await _changes(log, specs)], COLUMNS, output)
    return ExitCode.OK


@app.command
async def apply(*, settings: SettingsFile = "", view: Views = None, output: Output = None) -> int:
    """Create missing topics and set the configuration of those that are there; print what was done.

    ```sh
    meshferry topics apply --settings meshferry.yaml
    ```

    Exit codes: 0 ok, 64 usage, 69 log unreachable, 78 bad configuration or an unfit topic; then nothing was changed.

    Args:
        settings: settings file.
        view: only these views.
        output: table, json or yaml.
    """
    specs, found_log = _wanted(settings, view)
    async with found_log as log:
        states = await log.describe([spec.name for spec in specs])
        refuse_unfit(specs, states)
        changes = plan(specs, states)
        await log.apply(specs)
        print_rows([_row(change) for change in changes], COLUMNS, output)
    return ExitCode.OK


@app.command
async def check(*, settings: SettingsFile = "", view: Views = None, output: Output = None) -> int:
    """Tell by the exit code whether the topics are as wanted; print what is not.

    ```sh
    meshferry topics check --settings meshferry.yaml
    ```

    Exit codes: 0 as wanted, 2 `apply` would change something, 64 usage, 69 log unreachable, 78 bad configuration or
    an unfit topic.

    Args:
        settings: settings file.
        view: only these views.
        output: table, json or yaml.
    """
    specs, found_log = _wanted(settings, view)
    async with found_log as log:
        changes = await _changes(log, specs)
    print_rows([_row(change) for change in changes], COLUMNS, output)
    if any(change.action is Action.REFUSE for change in changes):
        return ExitCode.BAD_CONFIGURATION
    return ExitCode.FINDINGS if changes else ExitCode.OK


def _wanted(settings_file: str, names: list[str] | None) -> tuple[list[TopicSpec], Log]:
    settings = settings_from(settings_file)
    views = chosen_views(settings, names)
    specs = [spec for view in views for spec in view_specs(settings.log.prefix, view, settings.log.replication)]
    return specs, configured_log(settings)


async def _changes(log: Log, specs: list[TopicSpec]) -> list[Change]:
    return plan(specs, await log.describe([spec.name for spec in specs]))


def _row(change: Change) -> dict[str, str]:
    settings = ", ".join(f"{setting.name}={setting.wanted}" for setting in change.settings)
    return {"topic": change.topic, "action": change.action.value, "settings": settings, "reason": change.reason}
