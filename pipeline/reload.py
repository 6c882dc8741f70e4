"""What new settings mean for a process that is running. Pure: pipeline/cli reads them and does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline.settings import Settings, SettingsError, ViewSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

PRODUCER_FIXED: Final = ("log.url", "log.prefix", "seal.directory")
"""What all views of a producer share: it is read once, when the process starts."""
AGENT_FIXED: Final = ("agent.listen", "agent.supervise")
"""The socket outlives what serves on it."""
TRANSLATOR_FIXED: Final = ("log.url", "log.prefix", "translator.group")
"""What a translator reads once. A group of another name would begin with the first record."""


class Kept(NamedTuple):
    """New settings as far as a running process can take them."""

    settings: Settings
    fixed: tuple[str, ...]
    """Places that differ and stay as they were until the process is started anew."""


class Reload(NamedTuple):
    """What a producer does with its views; each view that was or shall be there stands in exactly one set."""

    settings: Settings
    """In force from now on; its views are those that run."""
    start: frozenset[str]
    stop: frozenset[str]
    restart: frozenset[str]
    """They have another source or another guard, or have failed and are tried again."""
    unchanged: frozenset[str]
    fixed: tuple[str, ...] = ()

    def without(self, refused: Collection[str], old: Settings) -> Reload:
        """Leave views that were to be restarted as they are.

        Args:
            refused: the views, whose new settings cannot be used.
            old: the settings they run with.
        """
        views = {**self.settings.views, **{name: old.views[name] for name in refused}}
        return self._replace(
            settings=msgspec.structs.replace(self.settings, views=views),
            restart=self.restart.difference(refused),
            unchanged=self.unchanged.union(refused),
        )


def keep_fixed(old: Settings, new: Settings, places: Iterable[str]) -> Kept:
    """Lay what a running process cannot change over new settings.

    Args:
        old: the settings in force.
        new: the settings as they were read.
        places: `section.key` of what stays.
    """
    fixed = []
    for place in places:
        section, key = place.split(".")
        value, there = getattr(getattr(old, section), key), getattr(new, section)
        if getattr(there, key) != value:
            fixed.append(place)
            new = msgspec.structs.replace(new, **{section: msgspec.structs.replace(there, **{key: value})})
    return Kept(new, tuple(fixed))


def choose_views(settings: Settings, only: Collection[str]) -> Settings:
    """Leave out the views that are not asked for.

    Args:
        settings: the whole settings.
        only: names of views, those that are not there among them; empty for all.

    Raises:
        SettingsError: none is left. A file that was cut short must not stop everything.
    """
    views = {name: view for name, view in settings.views.items() if not only or name in only}
    if not views:
        named = f" of {', '.join(sorted(only))}" if only else ""
        raise SettingsError(f"views: none{named} is left; end the process where that is meant")
    return msgspec.structs.replace(settings, views=views)


def decide_reload(old: Settings, new: Settings, *, only: Collection[str] = (), failing: Collection[str] = ()) -> Reload:
    """Decide what a producer does when its settings were read again.

    Args:
        old: the settings in force.
        new: the settings as they were read.
        only: names of the views this process is for; empty for all.
        failing: views that have failed and wait.

    Raises:
        SettingsError: no view would be left.
    """
    settings, fixed = keep_fixed(old, choose_views(new, only), PRODUCER_FIXED)
    both = old.views.keys() & settings.views.keys()
    restart = {name for name in both if name in failing or _differs(old.views[name], settings.views[name])}
    return Reload(
        settings,
        start=frozenset(settings.views.keys() - both),
        stop=frozenset(old.views.keys() - both),
        restart=frozenset(restart),
        unchanged=frozenset(both - restart),
        fixed=fixed,
    )


def _differs(old: ViewSettings, new: ViewSettings) -> bool:
    """Tell whether a producer has to do with the difference; the policy is for translators."""
    return (old.source, old.guard) != (new.source, new.guard)
