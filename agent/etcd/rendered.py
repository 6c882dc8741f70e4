"""Answers that were rendered, by the bytes of their request: each once per revision of the store."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.store.store import Store

MAX_RENDERED_BYTES = 32 << 20
"""Rendered answers that are kept, beside the newest one."""
MAX_RENDERED_COUNT = 256
"""How many they are at most: an answer costs more than its bytes, and APISIX asks for a few dozen ranges."""


class Rendered:
    """The answers of one kind of request.

    Args:
        store: whose revision they are of.
        render: makes the answer of a request, or raises.
    """

    def __init__(self, store: Store, render: Callable[[bytes], bytes]) -> None:
        self._store = store
        self._render = render
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()
        self._revision = -1
        self._bytes = 0

    def answer(self, request: bytes) -> bytes:
        """Give the answer of a request; what its rendering raises is not kept."""
        if self._revision != self._store.revision:
            self._answers.clear()
            self._revision, self._bytes = self._store.revision, 0
        answer = self._answers.get(request)
        if answer is None:
            answer = self._answers[request] = self._render(request)
            self._bytes += len(request) + len(answer)
            while len(self._answers) > 1 and (
                self._bytes > MAX_RENDERED_BYTES or len(self._answers) > MAX_RENDERED_COUNT
            ):
                old_request, old_answer = self._answers.popitem(last=False)
                self._bytes -= len(old_request) + len(old_answer)
        return answer
