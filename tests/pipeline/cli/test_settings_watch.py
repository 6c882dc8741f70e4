from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING

import pytest

from pipeline.cli.settings_watch import SettingsWatch, say_fixed, say_refused
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

POLL_S = 0.02


async def is_quiet(watch: SettingsWatch) -> bool:
    """Nothing is told within some looks at the file."""
    try:
        await asyncio.wait_for(watch.changed(), 10 * POLL_S)
    except TimeoutError:
        return True
    return False


def write(file: Path, text: str) -> None:
    file.write_text(text)


def remove(file: Path) -> None:
    file.unlink()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "meshferry.yaml"
    path.write_text("log: {}\n")
    return path


async def test_a_change_is_told_once(file: Path):
    watch = SettingsWatch(str(file), poll_s=POLL_S)
    assert await is_quiet(watch)
    write(file, "log: {url: x}\n")
    await asyncio.wait_for(watch.changed(), 5)
    assert await is_quiet(watch)


async def test_a_change_before_the_first_look_is_told(file: Path):
    watch = SettingsWatch(str(file), poll_s=POLL_S)
    write(file, "log: {url: x}\n")
    await asyncio.wait_for(watch.changed(), 5)


async def test_a_rename_and_a_swapped_link_are_changes(file: Path):
    link = file.parent / "link.yaml"
    link.symlink_to(file.name)
    watch = SettingsWatch(str(link), poll_s=POLL_S)
    new = file.parent / "new.yaml"
    new.write_text("log: {}\n")
    new.rename(file)
    await asyncio.wait_for(watch.changed(), 5)
    other, swap = file.parent / "other.yaml", file.parent / "swap"
    other.write_text("log: {}\n")
    swap.symlink_to(other.name)
    swap.rename(link)
    await asyncio.wait_for(watch.changed(), 5)


async def test_a_file_that_is_away_for_a_moment_is_no_change(file: Path):
    watch = SettingsWatch(str(file), poll_s=POLL_S)
    looks = iter(range(3))
    there = watch._identity()

    def identity() -> tuple[int, ...]:
        return () if next(looks, None) == 0 else there

    watch._identity = identity
    assert await is_quiet(watch)


async def test_a_file_that_is_gone_is_told_and_so_is_its_return(file: Path):
    watch = SettingsWatch(str(file), poll_s=POLL_S)
    remove(file)
    await asyncio.wait_for(watch.changed(), 5)
    assert await is_quiet(watch)
    write(file, "log: {}\n")
    await asyncio.wait_for(watch.changed(), 5)


async def test_a_file_that_grows_is_told_when_it_is_whole(file: Path):
    watch = SettingsWatch(str(file), poll_s=POLL_S)
    states = iter([(1,), (2,), (3,), (4,), (4,), (4,)])
    seen = []

    def identity() -> tuple[int, ...]:
        seen.append(next(states))
        return seen[-1]

    watch._identity = identity
    await asyncio.wait_for(watch.changed(), 5)
    assert seen.count((4,)) >= 2


@pytest.mark.parametrize("is_given", [True, False])
async def test_the_signal_is_told_at_once_and_only_while_it_is_watched(file: Path, is_given):
    with SettingsWatch(str(file) if is_given else "", poll_s=60) as watch:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.wait_for(watch.changed(), 5)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_refusal_names_the_file_once(caplog: pytest.LogCaptureFixture):
    for text in ("/etc/m.yaml: not YAML", "logging: log level 'LOUD'"):
        say_refused("producer", "/etc/m.yaml", SettingsError(text))
    assert [record.getMessage().count("/etc/m.yaml") for record in caplog.records] == [1, 1]
    assert all(record.levelno == logging.ERROR for record in caplog.records)


def test_nothing_fixed_is_nothing_said(caplog: pytest.LogCaptureFixture):
    say_fixed("producer", ())
    assert caplog.records == []
    say_fixed("producer", ["log.url", "log.prefix"])
    assert "log.url, log.prefix; restart the process" in caplog.text
