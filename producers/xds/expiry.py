"""Which resources live only until they are renewed (control-planes.md section 5.9). Pure: time is timers' serials."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producers.xds.references import Key


class Expiry:
    """The timer that each resource with a TTL depends on; the last one started counts."""

    def __init__(self) -> None:
        self._serials: dict[Key, int] = {}
        self._keys: dict[int, list[Key]] = {}

    def renewed(self, type_url: str, ttls_ms: Mapping[str, int | None]) -> dict[int, list[Key]]:
        """Take what a response says of the lives of resources; without a TTL one lives for ever.

        Returns:
            What needs a new timer, by TTL in milliseconds.
        """
        due: dict[int, list[Key]] = {}
        for name, ttl_ms in ttls_ms.items():
            if ttl_ms is None:
                self._serials.pop((type_url, name), None)
            else:
                due.setdefault(ttl_ms, []).append((type_url, name))
        return due

    def start(self, serial: int, keys: list[Key]) -> None:
        """Let resources depend on a timer."""
        self._keys[serial] = keys
        self._serials.update(dict.fromkeys(keys, serial))

    def knows(self, serial: int) -> bool:
        """Tell whether a timer is one of a TTL."""
        return serial in self._keys

    def expired(self, serial: int) -> list[Key]:
        """Give what has not been renewed since a timer was started that is now over."""
        over = [key for key in self._keys.pop(serial) if self._serials.get(key) == serial]
        for key in over:
            del self._serials[key]
        return over
