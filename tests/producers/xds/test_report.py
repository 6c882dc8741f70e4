from __future__ import annotations

from producers.source import SourceProblem
from producers.xds.command import ReportProblem
from producers.xds.report import MAX_FOREIGN_TYPES, Report
from schemas import xds


def test_a_problem_names_control_plane_and_type():
    (command,) = Report("cp:1").problem(xds.CLUSTER, "bad", "mend it")
    assert command == ReportProblem(SourceProblem("cp:1: Cluster", "bad", "mend it"))


def test_the_same_problem_is_told_once_and_again_after_it_was_cleared():
    report = Report("cp:1")
    assert report.problem(xds.CLUSTER, "bad", "")
    assert not report.problem(xds.CLUSTER, "bad", "")
    assert report.problem(xds.LISTENER, "bad", "")
    report.clear(xds.CLUSTER)
    assert report.problem(xds.CLUSTER, "bad", "")


def test_a_message_is_one_line_whatever_it_quotes():
    (command,) = Report("cp:1").problem("", "name with\na line break", "")
    assert command.problem.message == "name with a line break"
    assert command.problem.place == "cp:1: a response without a type"


def test_of_types_that_nobody_asks_for_only_the_first_few_are_told():
    report = Report("cp:1", [xds.CLUSTER])
    told = [number for number in range(10 * MAX_FOREIGN_TYPES) if report.problem(f"type {number}", "unasked", "")]
    assert told == list(range(MAX_FOREIGN_TYPES))
    assert report.problem("type 0", "otherwise bad", "")
    assert report.problem(xds.CLUSTER, "bad", "")
