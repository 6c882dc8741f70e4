from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from producers.files.watch import FileSource
from producers.source import Changes, SourceProblem

if TYPE_CHECKING:
    from pathlib import Path

POLL_S = 0.005
ONE = "resources: {type.googleapis.com/envoy.config.cluster.v3.Cluster: [{name: one}]}\n"
TWO = ONE.replace("one", "two")
BROKEN = "resources: [\n"


class Watched:
    """A file and what its source says of it."""

    def __init__(self, path: Path, **options) -> None:
        self.path = path
        self._changes = FileSource(path, poll_s=POLL_S, **options).changes()

    async def said(self) -> list[str] | SourceProblem:
        output = await asyncio.wait_for(anext(self._changes), 5)
        if isinstance(output, Changes):
            assert output.is_complete
            assert output.source == str(self.path)
            return [change.name for change in output.changes]
        return output

    async def said_after(self, change) -> list[str] | SourceProblem:
        """Make a change while the source is waiting, as it is in a running producer."""
        waiting = asyncio.ensure_future(self.said())
        await asyncio.sleep(0)
        change()
        return await waiting

    def replace(self, text: str) -> None:
        replacement = self.path.with_suffix(".new")
        replacement.write_text(text)
        replacement.rename(self.path)

    async def close(self) -> None:
        await self._changes.aclose()


@pytest.fixture
async def watched(tmp_path: Path):
    path = tmp_path / "envoy.yaml"
    path.write_text(ONE)
    file = Watched(path)
    yield file
    await file.close()


async def test_the_file_is_read_at_the_start_and_after_a_rename(watched: Watched):
    assert await watched.said() == ["one"]
    assert await watched.said_after(lambda: watched.replace(TWO)) == ["two"]


async def test_a_write_in_place_is_seen(watched: Watched):
    assert await watched.said() == ["one"]
    assert await watched.said_after(lambda: watched.path.write_text(TWO)) == ["two"]


async def test_a_symlink_swap_like_that_of_a_config_map_is_seen(tmp_path: Path):
    for name, text in (("v1", ONE), ("v2", TWO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "envoy.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("v1")
    path = tmp_path / "envoy.yaml"
    path.symlink_to("..data/envoy.yaml")
    watched = Watched(path)
    assert await watched.said() == ["one"]

    def swap() -> None:
        (tmp_path / "..new").symlink_to("v2")
        (tmp_path / "..new").rename(tmp_path / "..data")

    assert await watched.said_after(swap) == ["two"]
    await watched.close()


async def test_a_broken_file_is_a_problem_and_then_good_again(watched: Watched):
    await watched.said()
    problem = await watched.said_after(lambda: watched.replace(BROKEN))
    assert str(problem).startswith(f"{watched.path}:2: not YAML: ")
    assert await watched.said_after(lambda: watched.replace(TWO)) == ["two"]


async def test_a_file_that_goes_away_is_a_problem_not_an_empty_set(watched: Watched):
    await watched.said()
    problem = await watched.said_after(watched.path.unlink)
    remedy = "(check the path and its permissions)"
    assert str(problem) == f"{watched.path}: No such file or directory {remedy}"
    assert await watched.said_after(lambda: watched.replace(TWO)) == ["two"]


async def test_the_same_problem_is_told_once(watched: Watched):
    await watched.said()
    await watched.said_after(lambda: watched.replace(BROKEN))
    waiting = asyncio.ensure_future(watched.said())
    watched.replace(BROKEN)
    await asyncio.wait({waiting}, timeout=20 * POLL_S)
    assert not waiting.done()
    watched.replace(TWO)
    assert await waiting == ["two"]


async def test_a_file_that_a_bootstrap_names_is_watched_too(tmp_path: Path):
    (tmp_path / "pem").write_text("first")
    path = tmp_path / "envoy.yaml"
    secret = "{name: s, tls_certificate: {certificate_chain: {filename: pem}}}"
    path.write_text(f"static_resources: {{secrets: [{secret}]}}")
    source = FileSource(path, poll_s=POLL_S).changes()

    async def chain() -> str:
        output = await asyncio.wait_for(anext(source), 5)
        return output.changes[0].body.tls_certificate.certificate_chain.inline_string

    assert await chain() == "first"
    waiting = asyncio.ensure_future(chain())
    await asyncio.sleep(0)
    (tmp_path / "pem").write_text("second")
    assert await waiting == "second"
    await source.aclose()


async def test_a_file_above_the_limit_is_refused(tmp_path: Path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"")
    os.truncate(path, 1025)
    watched = Watched(path, max_bytes=1024)
    problem = await watched.said()
    assert str(problem).startswith(f"{path}: larger than 0.000976562 MiB (")
    await watched.close()


async def test_a_file_that_another_one_subscribes_to_is_watched_too(tmp_path: Path):
    (tmp_path / "cds.yaml").write_text(response("one"))
    (tmp_path / "envoy.yaml").write_text("dynamic_resources: {cds_config: {path_config_source: {path: cds.yaml}}}")
    watched = Watched(tmp_path / "envoy.yaml")
    assert await watched.said() == ["one"]
    assert await watched.said_after(lambda: (tmp_path / "cds.yaml").write_text(response("two"))) == ["two"]
    problem = await watched.said_after(lambda: (tmp_path / "cds.yaml").write_text(BROKEN))
    assert str(problem).startswith(f"{tmp_path / 'cds.yaml'}:2: not YAML: ")
    assert await watched.said() == ["two"]
    await watched.close()


async def test_a_directory_is_watched(tmp_path: Path):
    (tmp_path / "one.yaml").write_text(response("one"))
    watched = Watched(tmp_path)
    assert await watched.said() == ["one"]
    added = tmp_path / "two.yaml"
    assert await watched.said_after(lambda: added.write_text(response("two"))) == ["one", "two"]
    assert await watched.said_after(added.unlink) == ["one"]
    await watched.close()


def response(name: str) -> str:
    return f"resources: [{{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: {name}}}]"
