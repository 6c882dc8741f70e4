from __future__ import annotations

import os
from pathlib import Path

import pytest

from producers.files.load import load
from producers.files.reading import MAX_DATA_SOURCE_BYTES, MAX_FILE_BYTES, data_source_reader

ONE = b"resources: {type.googleapis.com/envoy.config.cluster.v3.Cluster: [{name: one}]}\n"
QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart" / "envoy.yaml"


def test_a_file_and_bytes_from_standard_input(tmp_path: Path):
    path = tmp_path / "envoy.yaml"
    path.write_bytes(ONE)
    assert [change.name for change in load(path).resources] == ["one"]
    assert load(ONE).resources == load(path).resources


def test_what_cannot_be_read_is_a_problem(tmp_path: Path):
    [problem] = load(tmp_path).problems
    assert str(problem).startswith(f"{tmp_path}: no .yaml, .yml or .json file in it (")
    [problem] = load(b"x: [").problems
    assert str(problem).startswith("<stdin>:")


def test_100_megabytes_are_refused_without_reading_them(tmp_path: Path):
    path = tmp_path / "large.yaml"
    path.touch()
    os.truncate(path, 100 << 20)
    [problem] = load(path).problems
    assert str(problem).startswith(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB (split the view")
    [problem] = load(b"12345", max_bytes=4).problems
    assert problem.place == "<stdin>"


def test_a_file_that_a_configuration_names_is_read_beside_it_and_bounded(tmp_path: Path):
    (tmp_path / "pem").write_bytes(b"content")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", MAX_DATA_SOURCE_BYTES + 1)
    read = data_source_reader(tmp_path)
    assert read("pem") == read(str(tmp_path / "pem")) == b"content"
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read("large")


def test_the_quickstart_is_good():
    found = load(QUICKSTART)
    assert (found.problems, found.notes) == ((), ())
    assert len(found.resources) == 7
