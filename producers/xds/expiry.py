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
        self._keys: dict[int, dict[Key, None]] = {}

    def renewed(self, type_url: str, ttls_ms: Mapping[str, int | None]) -> dict[int, list[Key]]:
        """Take what a response says of the lives of resources; without a TTL one lives for ever.

        Returns:
            What needs a new timer, by TTL in milliseconds.
        """
        due: dict[int, list[Key]] = {}
        for name, ttl_ms in ttls_ms.items():
            self._release((type_url, name))
            if ttl_ms is not None:
                due.setdefault(ttl_ms, []).append((type_url, name))
        return due

    def start(self, serial: int, keys: list[Key]) -> None:
        """Let resources depend on a timer."""
        for key in keys:
            self._release(key)
        self._keys[serial] = dict.fromkeys(keys)
        self._serials.update(dict.fromkeys(keys, serial))

    def knows(self, serial: int) -> bool:
        """Tell whether a timer is one of a TTL that something still depends on."""
        return serial in self._keys

    def expired(self, serial: int) -> list[Key]:
        """Give what has not been renewed since a timer was started that is now over."""
        over = list(self._keys.pop(serial, {}))
        for key in over:
            del self._serials[key]
        return over

    def _release(self, key: Key) -> None:
        """Let a resource depend on no timer: heartbeats come more often than timers fire, and none may be kept."""
        serial = self._serials.pop(key, None)
        if serial is None:
            return
        del self._keys[serial][key]
        if not self._keys[serial]:
            del self._keys[serial]
