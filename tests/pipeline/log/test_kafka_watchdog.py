from __future__ import annotations

from pipeline.log.kafka_watchdog import Look, Verdict, Watchdog


def test_empty_answers_at_the_end_are_fine_for_ever():
    watchdog = Watchdog(0.0, silence_limit_s=15.0)
    assert {watchdog.look(second, Look(second, 7, 7)) for second in range(100)} == {Verdict.WAIT}


def test_a_silent_consumer_is_asked_about_and_then_replaced():
    watchdog = Watchdog(0.0, silence_limit_s=8.0)
    verdicts = [watchdog.look(float(second), Look(None, 7, None)) for second in range(1, 9)]
    assert verdicts == [
        *[Verdict.WAIT] * 2,
        Verdict.ASK,
        *[Verdict.WAIT] * 2,
        Verdict.ASK,
        Verdict.WAIT,
        Verdict.REPLACE,
    ]


def test_an_answer_starts_the_silence_anew():
    watchdog = Watchdog(0.0, silence_limit_s=4.0)
    assert watchdog.look(2.0, Look(1, 7, 7)) is Verdict.WAIT
    assert watchdog.look(4.0, Look(1, 7, 7)) is Verdict.WAIT
    assert watchdog.look(5.5, Look(2, 7, 7)) is Verdict.WAIT
    assert watchdog.look(8.0, Look(2, 7, 7)) is Verdict.WAIT
    assert watchdog.look(9.5, Look(2, 7, 7)) is Verdict.REPLACE


def test_answers_that_show_records_nobody_gets_are_a_stall():
    watchdog = Watchdog(0.0, silence_limit_s=15.0)
    assert [watchdog.look(float(second), Look(second, 7, 9)) for second in (1, 2, 3)] == [
        Verdict.WAIT,
        Verdict.WAIT,
        Verdict.REPLACE,
    ]


def test_a_position_that_moves_is_no_stall():
    watchdog = Watchdog(0.0, silence_limit_s=15.0)
    verdicts = {watchdog.look(float(second), Look(second, second, 1000)) for second in range(1, 50)}
    assert verdicts == {Verdict.WAIT}
