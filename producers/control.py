"""What the control topic says to a producer: what is held, and what somebody has approved. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.codec import UnreadableRecordError, decode_any
from schemas.keys import approval_key, held_key
from schemas.records import Approval, Held

if TYPE_CHECKING:
    from collections.abc import Iterable

APPROVAL_PREFIX: Final = approval_key("")


class Control:
    """The holds in force and the approvals that wait, as the topic has them."""

    def __init__(self) -> None:
        """Start with nothing, as before the first record."""
        self.held: dict[str, Held] = {}
        self.approvals: dict[str, None] = {}
        """Fingerprints, in the order they were approved."""

    def replay(self, key: str, value: bytes | None) -> None:
        """Take over a record; what this build cannot read is not for it."""
        try:
            record = None if value is None else decode_any(value)
        except UnreadableRecordError:
            return
        if isinstance(record, Held):
            self.held[key] = record
        elif isinstance(record, Approval):
            self.approvals[record.fingerprint] = None
        else:
            self.held.pop(key, None)
            self.approvals.pop(key.removeprefix(APPROVAL_PREFIX), None)

    def hold(self, held: Iterable[Held]) -> dict[str, Held | None]:
        """Note what is held now.

        Returns:
            What to write, by key; None where nothing is held any more.
        """
        now = {held_key(record.kind): record for record in held}
        changed = {key: now.get(key) for key in now | self.held if now.get(key) != self.held.get(key)}
        self.held = now
        return changed
