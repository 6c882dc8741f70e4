"""Each guarantee has a recording that breaks it and nothing else."""

from __future__ import annotations

import pytest

from tests.conformance.validators import (
    BrokeAtomicError,
    BrokeBookmarkableError,
    BrokeBoundedError,
    BrokeEqualError,
    BrokeMonotoneError,
    BrokenGuaranteeError,
    BrokeOrderedError,
    BrokeReliableError,
    BrokeResumableError,
    BrokeUniqueError,
    Event,
    Line,
    Position,
    Reading,
    Recording,
    validate,
)

A, B = b"/a", b"/b"


def line(revision: int, *events: tuple[bytes, bytes | None, int]) -> Line:
    return Line(revision, tuple(Event(*event) for event in events))


def recording(*lines: Line, start: int = 5, node: str = "one") -> Recording:
    return Recording(b"/", b"0", start, node, lines=[Line(start, is_created=True), *lines])


GOOD = recording(line(5, (A, b"1", 5), (B, b"1", 5)), line(7, (A, None, 7)))


def test_a_good_recording_passes():
    readings = [Reading(4, {}), Reading(5, {A: b"1", B: b"1"}), Reading(7, {B: b"1"})]
    later = recording(line(7, (A, None, 7)), start=6)
    validate([GOOD, later], readings, [Position("one", 3, 7), Position("two", 3, 7)], [4, 5, 5, 7])


def test_lines_of_several_revisions_pass_however_they_are_joined():
    told = [(A, b"1", 5), (B, b"1", 5), (A, b"2", 6), (A, None, 8), (B, b"2", 9)]
    each = recording(line(5, *told[:2]), line(6, told[2]), line(8, told[3]), line(9, told[4]))
    joined = recording(line(6, *told[:3]), line(9, *told[3:]), node="two")
    caught_up = recording(line(9, *told), node="three")
    from_inside = recording(line(9, *told[2:]), start=6)
    readings = [
        Reading(4, {}),
        Reading(5, {A: b"1", B: b"1"}),
        Reading(6, {A: b"2", B: b"1"}),
        Reading(8, {B: b"1"}),
        Reading(9, {B: b"2"}),
    ]
    validate([each, joined, caught_up, from_inside], readings)


@pytest.mark.parametrize(
    ("lines", "broken"),
    [
        ([line(9, (A, b"1", 9), (B, b"1", 6))], BrokeOrderedError),
        ([line(9, (A, b"1", 8)), line(9, (A, b"1", 9))], BrokeOrderedError),
        ([line(9, (A, b"1", 9), (A, b"1", 9))], BrokeUniqueError),
        ([line(6, (A, b"1", 6)), line(7, (B, b"1", 6))], BrokeAtomicError),
        ([line(6, (A, b"1", 5), (A, b"2", 6)), line(7, (B, b"1", 6), (B, b"2", 7))], BrokeAtomicError),
        ([line(9, (A, b"1", 6), (A, b"2", 8), (B, b"1", 7))], BrokeOrderedError),
        ([line(9, (A, b"1", 6), (B, b"1", 7), (A, b"1", 6))], BrokeOrderedError),
        ([line(7, (A, b"1", 6)), line(7, (B, b"1", 7))], BrokeOrderedError),
        ([line(8, (A, b"1", 6), (A, b"2", 8)), line(9, (B, b"1", 8), (B, b"2", 9))], BrokeAtomicError),
        ([line(7, (A, b"1", 6)), line(8, (B, b"1", 7))], BrokeBookmarkableError),
        ([line(7, (A, b"1", 6), (B, b"1", 8))], BrokeBookmarkableError),
        ([line(6, (A, b"1", 7))], BrokeBookmarkableError),
        ([line(6)], BrokeBookmarkableError),
        ([line(6, (A, b"1", 4))], BrokeBookmarkableError),
        ([line(10**14, (A, b"1", 10**14))], BrokeBoundedError),
    ],
)
def test_a_broken_line_is_found(lines: list[Line], broken: type[BrokenGuaranteeError]):
    with pytest.raises(broken):
        validate([recording(*lines)])


def test_a_lost_event_is_found():
    with pytest.raises(BrokeReliableError):
        validate([GOOD], [Reading(4, {}), Reading(7, {A: b"1", B: b"1"})])


def test_an_event_lost_at_the_resumption_is_found():
    with pytest.raises(BrokeResumableError):
        validate([GOOD, recording(line(7, (B, None, 7)), start=6)])


@pytest.mark.parametrize("kept", [(0, 1), (0, 2), (1, 2)])
def test_an_event_lost_inside_a_line_is_found(kept: tuple[int, ...]):
    told = [(A, b"1", 5), (A, b"2", 6), (A, b"3", 7)]
    short = recording(line(7, *(told[at] for at in kept)))
    with pytest.raises(BrokeResumableError):
        validate([recording(line(7, *told)), short])
    with pytest.raises(BrokeReliableError):
        validate([short], [Reading(4, {}), Reading(5, {A: b"1"}), Reading(6, {A: b"2"}), Reading(7, {A: b"3"})])


def test_a_delete_under_the_revision_of_its_line_is_found():
    each = recording(line(5, (A, b"1", 5)), line(6, (A, None, 6)), line(7, (B, b"1", 7)))
    with pytest.raises(BrokeOrderedError):
        validate([each, recording(line(7, (A, b"1", 5), (A, None, 7), (B, b"1", 6)))])
    with pytest.raises(BrokeResumableError):
        validate([each, recording(line(7, (A, b"1", 5), (A, None, 7), (B, b"1", 7)))])


def test_a_falling_header_is_found():
    with pytest.raises(BrokeMonotoneError):
        validate([], headers=[5, 4])


def test_an_offset_with_two_revisions_is_found():
    with pytest.raises(BrokeEqualError):
        validate([], positions=[Position("one", 3, 7), Position("two", 3, 8)])


def test_a_revision_with_two_values_is_found():
    one, two = recording(line(6, (A, b"1", 6))), recording(line(6, (A, b"2", 6)), node="two")
    two.key = b"/a"
    with pytest.raises(BrokeEqualError):
        validate([one, two])
