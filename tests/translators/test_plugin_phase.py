"""An answer comes after everything that must run before it."""

from __future__ import annotations

from translators.block import abort
from translators.plugin_phase import answered, priority_of

ANSWER = abort(301, "b", {"Location": "/x"})
LIMIT = {"limit-req": {"rate": 1}}
AUTH = {"openid-connect": {"_meta": {"priority": priority_of(0)}}}


def test_an_answer_alone_is_as_it_was():
    assert answered({}, ANSWER) == ANSWER


def test_behind_the_access_phase_the_answer_moves_there():
    found = answered({**AUTH, **LIMIT}, ANSWER)
    assert set(found) == {"openid-connect", "limit-req", "mocking"}
    assert found["mocking"] == {
        "_meta": {"priority": -1999},
        "content_type": "text/plain",
        "response_example": "b",
        "response_headers": {"Location": "/x"},
        "response_status": 301,
        "with_mock_header": False,
    }


def test_behind_the_rewrite_phase_the_answer_stays_and_waits():
    found = answered(AUTH, ANSWER)
    assert found["fault-injection"]["abort"] == ANSWER["fault-injection"]["abort"]
    assert found["fault-injection"]["_meta"]["priority"] < found["openid-connect"]["_meta"]["priority"]


def test_a_delay_comes_before_an_answer():
    delay = {"fault-injection": {"delay": {"duration": 1}, "_meta": {"priority": priority_of(0)}}}
    assert answered(delay, ANSWER)["fault-injection"] == {**delay["fault-injection"], **ANSWER["fault-injection"]}
