from __future__ import annotations

import pytest

from agent.etcd import rendered as rendered_module
from agent.etcd.errors import EtcdError, permission_denied
from agent.etcd.rendered import Rendered
from agent.store.store import Store


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rendered_module, "MAX_RENDERED_BYTES", 500)
    rendered = Rendered(Store(), lambda request: request * 10)
    for number in range(20):
        rendered.answer(b"%02d" % number * 5)
    assert 1 < len(rendered._answers) < 5
    assert rendered._bytes == sum(len(body) + len(answer) for body, answer in rendered._answers.items()) <= 500


def test_what_is_refused_is_not_kept():
    def refuse(_: bytes) -> bytes:
        raise permission_denied()

    rendered = Rendered(Store(), refuse)
    with pytest.raises(EtcdError):
        rendered.answer(b"a")
    assert not rendered._answers
