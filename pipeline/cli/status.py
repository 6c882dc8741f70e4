"""`meshferry status`: per view the last revision, the units and the nodes seen."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pipeline.cli.output import Format, print_data, print_rows
from pipeline.cli.role_options import (
    SettingsFile,
    StateDirectory,
    Views,
    chosen_views,
    configured_log,
    settings_or_state,
)
from pipeline.status import ViewStatus
from schemas.keys import TopicKind, topic

if TYPE_CHECKING:
    from pipeline.log import Log

VIEW_COLUMNS = ("view", "revision", "units", "bundles", "objects", "errors", "held", "nodes")
NODE_COLUMNS = ("view", "node", "applied_revision", "is_synced", "is_live", "watchers", "age_s", "rejected")


async def run(
    *,
    settings: SettingsFile = "",
    state: StateDirectory = "",
    view: Views = None,
    output: Annotated[Format | None, Parameter(name=["-o", "--output"])] = None,
) -> None:
    """Show what each view holds and which nodes follow it.

    A node is synced when it has applied the view's last revision, live when it reads the log now; `held` is what a
    producer keeps back until `meshferry approve`. Without `-o` a terminal gets tables and a pipe gets JSON:

    ```sh
    meshferry status --settings meshferry.yaml -o json
    ```

    Exit codes: 0 ok, 64 usage, 69 log unreachable, 78 bad configuration or a missing topic.

    Args:
        settings: settings file.
        state: state directory of a `meshferry up`, instead of settings.
        view: only these views.
        output: table, json or yaml.
    """
    tree = settings_or_state(settings, state, view)
    views = chosen_views(tree, view)
    async with configured_log(tree) as log:
        found = [await _status(log, tree.log.prefix, name) for name in views]
    if output is None and sys.stdout.isatty():
        output = "table"
    if output != "table":
        print_data(found, output or "json")
        return
    print_rows(
        [{**status, "held": len(status["held"]), "nodes": len(status["nodes"])} for status in found],
        VIEW_COLUMNS,
        "table",
    )
    nodes = [{"view": status["view"], **node} for status in found for node in status["nodes"]]
    print_rows([{**node, "rejected": len(node["rejected"])} for node in nodes], NODE_COLUMNS, "table")


async def _status(log: Log, prefix: str, view: str) -> dict[str, Any]:
    status = ViewStatus(view)
    for kind, replay in (
        (TopicKind.UNITS, status.replay_units),
        (TopicKind.BUNDLES, status.replay_bundles),
        (TopicKind.STATUS, status.replay_status),
        (TopicKind.CONTROL, status.replay_control),
    ):
        name = topic(prefix, view, kind)
        async for batch in log.read(name, (await log.ends(name)).start):
            replay(batch)
    return status.summary(time.time_ns() // 1_000_000)
