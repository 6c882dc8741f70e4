"""`meshferry status`: per view the last revision, the units and the nodes seen."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pipeline.cli.exit_code import UsageError
from pipeline.cli.output import Format, print_data, print_rows
from pipeline.cli.role_options import (
    SettingsFile,
    StateDirectory,
    Views,
    chosen_views,
    configured_log,
    settings_or_state,
)
from pipeline.status import ViewStatus, unsynced
from schemas.keys import TopicKind, topic

if TYPE_CHECKING:
    from pipeline.log import Log

VIEW_COLUMNS = ("view", "revision", "units", "bundles", "objects", "errors", "held", "nodes")
NODE_COLUMNS = ("view", "node", "applied_revision", "is_synced", "is_live", "apisix", "watchers", "age_s", "rejected")
WAIT_POLL_S = 0.5
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(|s|m|h)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600}


async def run(
    *,
    settings: SettingsFile = "",
    state: StateDirectory = "",
    view: Views = None,
    wait: Literal["synced"] | None = None,
    timeout: str = "60s",  # noqa: ASYNC109 - the option's name
    output: Annotated[Format | None, Parameter(name=["-o", "--output"])] = None,
) -> None:
    """Show what each view holds and which nodes follow it.

    A node is synced when it has applied the view's last revision, live when it reads the log now; `held` is what a
    producer keeps back until `meshferry approve`. Without `-o` a terminal gets tables and a pipe gets JSON:

    ```sh
    meshferry status --settings meshferry.yaml -o json
    ```

    A pipeline waits until what it has changed is served everywhere, by each node's APISIX too where the agents ask it
    (`agent.control_api`); what is still missing is told while it waits:

    ```sh
    meshferry status --settings meshferry.yaml --wait synced --timeout 2m
    ```

    Exit codes: 0 ok, 64 usage, 69 log unreachable, 75 not synced in time, 78 bad configuration or a missing topic.

    Args:
        settings: settings file.
        state: state directory of a `meshferry up`, instead of settings.
        view: only these views.
        wait: for every node to have the last revision, with nothing rejected.
        timeout: of the waiting, such as 60s or 2m.
        output: table, json or yaml.
    """
    tree = settings_or_state(settings, state, view)
    views = chosen_views(tree, view)
    timeout_s = seconds_of(timeout)
    async with configured_log(tree) as log:
        found = [await _status(log, tree.log.prefix, name) for name in views]
        if wait is not None:
            found = await _synced(log, tree.log.prefix, found, timeout_s)
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
    print_rows(
        [{**node, "rejected": len(node["rejected"]), "apisix": _apisix(node["apisix"])} for node in nodes],
        NODE_COLUMNS,
        "table",
    )


def _apisix(status: dict[str, Any] | None) -> str:
    if status is None:
        return "not asked"
    if not status["is_reachable"]:
        return "no answer"
    return f"{status['behind']} behind" if status["behind"] else "has all"


async def _synced(log: Log, prefix: str, found: list[dict[str, Any]], timeout_s: float) -> list[dict[str, Any]]:
    """Look again until nothing is missing.

    Raises:
        TimeoutError: with what is missing still.
    """
    deadline_s, told = time.monotonic() + timeout_s, ""
    while missing := [reason for status in found for reason in unsynced(status)]:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not synced within {timeout_s:g} s: {missing[0]}" + _more(missing))
        line = f"waiting: {missing[0]}{_more(missing)}"
        if line != told:
            sys.stderr.write(line + "\n")
        told = line
        await asyncio.sleep(WAIT_POLL_S)
        found = [await _status(log, prefix, status["view"]) for status in found]
    return found


def _more(missing: list[str]) -> str:
    return f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""


def seconds_of(duration: str) -> float:
    """Read a duration such as 90, 90s, 2m or 1h.

    Raises:
        UsageError: it is none.
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise UsageError(f"--timeout {duration!r}: give a duration such as 60s or 2m")
    return float(match[1]) * _UNIT_S[match[2]]


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
