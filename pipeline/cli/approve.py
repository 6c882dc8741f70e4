"""`meshferry approve`: release what a producer holds back."""

from __future__ import annotations

import getpass
import sys
import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipeline.cli.exit_code import RefusedError, UsageError
from pipeline.cli.role_options import (
    SettingsFile,
    StateDirectory,
    Views,
    chosen_views,
    configured_log,
    settings_or_state,
)
from pipeline.log import NewRecord
from pipeline.status import ViewStatus
from schemas.codec import encode
from schemas.keys import TopicKind, approval_key, topic
from schemas.records import Approval, Held, HeldKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.log import Log

SIGNS = {HeldKind.REMOVALS: "-", HeldKind.ENDPOINTS: "~", HeldKind.FLAPPING: "?"}
"""What would happen to a name: it goes, it loses its endpoints, it takes its last content."""


async def run(
    fingerprint: str = "",
    /,
    *,
    settings: SettingsFile = "",
    state: StateDirectory = "",
    view: Views = None,
    list_: Annotated[bool, Parameter(name="--list", negative=())] = False,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    yes: Annotated[bool, Parameter(name=["-y", "--yes"], negative=())] = False,
) -> None:
    """Show what producers hold back, or release it.

    A producer holds removals and emptied endpoints above the limits of the setting `guard`, and resources that change
    to and fro. Look first, then approve what is meant:

    ```sh
    meshferry approve --list --settings meshferry.yaml
    meshferry approve 0123456789ab --settings meshferry.yaml
    meshferry approve --list --state ./state        # of a `meshferry up --state ./state`
    ```

    An approval counts for exactly what its fingerprint stands for: when more or less is held by the time the producer
    sees it, nothing is released.

    Exit codes: 0 ok, 64 usage, 69 log unreachable, 77 nothing such is held or it was not confirmed, 78 bad
    configuration or a missing topic.

    Args:
        fingerprint: of what is to be released.
        settings: settings file.
        state: state directory of a `meshferry up`, instead of settings.
        view: only these views.
        list_: show what is held, with its diff, and release nothing.
        all_: release everything that is held.
        yes: do not ask.
    """
    if [bool(fingerprint), list_, all_].count(True) != 1:
        raise UsageError("give --list, --all, or the fingerprint of what is to be released")
    tree = settings_or_state(settings, state, view)
    async with configured_log(tree) as log:
        found = [(name, held) for name in chosen_views(tree, view) for held in await _held(log, tree.log.prefix, name)]
        if list_:
            sys.stdout.writelines(f"{line}\n" for line in _diff(found))
            return
        chosen = [(name, held) for name, held in found if all_ or held.fingerprint == fingerprint]
        if not chosen:
            what = f"{fingerprint} is not held, or not any more" if fingerprint else "nothing is held"
            raise RefusedError(f"{what}; see `meshferry approve --list`")
        _confirm(chosen, is_confirmed=yes)
        for name, held in chosen:
            await _approve(log, topic(tree.log.prefix, name, TopicKind.CONTROL), name, held)


async def _held(log: Log, prefix: str, view: str) -> list[Held]:
    status = ViewStatus(view)
    name = topic(prefix, view, TopicKind.CONTROL)
    async for batch in log.read(name, (await log.ends(name)).start):
        status.replay_control(batch)
    return status.held()


def _diff(found: Iterable[tuple[str, Held]]) -> Iterable[str]:
    for view, held in found:
        yield f"{held.fingerprint} {view} {held.kind}: {held.reason}"
        for name in held.names:
            yield f"  {SIGNS[held.kind]} {name}"
        if held.count > len(held.names):
            yield f"  … and {held.count - len(held.names)} more"


def _confirm(chosen: Iterable[tuple[str, Held]], *, is_confirmed: bool) -> None:
    """Ask on a terminal; a script says --yes or names what it releases by its fingerprint, which is as clear."""
    if is_confirmed or not sys.stdin.isatty():
        return
    sys.stderr.writelines(f"{line}\n" for line in _diff(chosen))
    sys.stderr.write("Release this? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError("not confirmed, nothing was released")


async def _approve(log: Log, control: str, view: str, held: Held) -> None:
    writer = await log.writer(f"{control}.approve")
    approval = Approval(held.fingerprint, getpass.getuser(), time.time_ns() // 1_000_000)
    await writer.append(control, [NewRecord(approval_key(held.fingerprint), encode(approval))])
    await writer.close()
    sys.stdout.write(f"{held.fingerprint} {view} {held.kind}: {held.count} approved\n")
