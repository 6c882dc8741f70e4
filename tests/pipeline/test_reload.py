from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reload import PRODUCER_FIXED, TRANSLATOR_FIXED, choose_views, decide_reload, keep_fixed
from pipeline.settings import (
    GuardSettings,
    LogSettings,
    SealSettings,
    Settings,
    SettingsError,
    SourceSettings,
    TranslatorSettings,
    ViewSettings,
    XDSSettings,
)

NAMES = ("a", "b", "c", "d")


def ads(node_id: str) -> SourceSettings:
    return SourceSettings(xds=XDSSettings(server="cp:1", node_id=node_id))


sources = st.sampled_from([SourceSettings(file="/a"), SourceSettings(file="/b"), ads("x"), ads("y")])
views = st.builds(
    ViewSettings,
    source=sources,
    guard=st.sampled_from([False, GuardSettings(), GuardSettings(minimum=1)]),
    policy=st.sampled_from([{}, {"path_matching": "exact"}]),
)
trees = st.builds(
    Settings,
    log=st.builds(LogSettings, url=st.sampled_from(["u", "v"]), prefix=st.sampled_from(["p.", "q."])),
    seal=st.builds(SealSettings, directory=st.sampled_from(["k", "l"])),
    views=st.dictionaries(st.sampled_from(NAMES), views, min_size=1),
)
some_names = st.frozensets(st.sampled_from(NAMES))


@given(trees, trees, some_names)
def test_every_view_has_exactly_one_fate(old: Settings, new: Settings, failing: frozenset[str]):
    reload = decide_reload(old, new, failing=failing)
    fates = (reload.start, reload.stop, reload.restart, reload.unchanged)
    assert sum(map(len, fates)) == len(frozenset().union(*fates))
    assert reload.start | reload.restart | reload.unchanged == new.views.keys() == reload.settings.views.keys()
    assert reload.stop | reload.restart | reload.unchanged == old.views.keys()


@given(trees, trees, some_names)
def test_a_view_goes_on_unless_it_failed_or_its_source_or_guard_is_another(old: Settings, new: Settings, failing):
    reload = decide_reload(old, new, failing=failing)
    for name in old.views.keys() & new.views.keys():
        before, after = old.views[name], new.views[name]
        is_same = (before.source, before.guard) == (after.source, after.guard) and name not in failing
        assert (name in reload.unchanged) == is_same


@given(trees, trees)
def test_the_same_again_changes_nothing(old: Settings, new: Settings):
    once = decide_reload(old, new)
    again = decide_reload(once.settings, new)
    assert again.unchanged == new.views.keys()
    assert (again.start, again.stop, again.restart) == (frozenset(), frozenset(), frozenset())
    assert (again.settings, again.fixed) == (once.settings, once.fixed)


@given(trees, st.lists(trees, min_size=1))
def test_after_any_number_of_reloads_the_last_views_run_on_the_first_log(old: Settings, several: list[Settings]):
    settings = old
    for new in several:
        settings = decide_reload(settings, new).settings
    assert settings.views == several[-1].views
    assert (settings.log.url, settings.log.prefix, settings.seal) == (old.log.url, old.log.prefix, old.seal)


@given(trees, trees)
def test_what_cannot_be_changed_is_named_exactly_when_it_differs(old: Settings, new: Settings):
    def value(tree: Settings, place: str) -> str:
        section, key = place.split(".")
        return getattr(getattr(tree, section), key)

    wanted = {place for place in PRODUCER_FIXED if value(old, place) != value(new, place)}
    assert set(decide_reload(old, new).fixed) == wanted


@given(trees, trees, st.data())
def test_a_refused_view_stays_with_its_settings(old: Settings, new: Settings, data: st.DataObject):
    reload = decide_reload(old, new)
    refused = data.draw(st.frozensets(st.sampled_from(sorted(reload.restart)))) if reload.restart else frozenset()
    left = reload.without(refused, old)
    assert left.restart == reload.restart - refused
    assert left.unchanged == reload.unchanged | refused
    for name, view in left.settings.views.items():
        assert view == (old if name in refused else new).views[name]
    assert refused <= decide_reload(left.settings, new).restart  # it is looked at again with the next reload


def test_only_the_views_that_were_asked_for_are_looked_at():
    both = Settings(views={"a": ViewSettings(), "b": ViewSettings()})
    only_a = choose_views(both, ["a"])
    assert only_a.views.keys() == {"a"}
    assert decide_reload(only_a, both, only=["a"]).unchanged == {"a"}
    assert decide_reload(only_a, both, only=["a", "b"]).start == {"b"}


@pytest.mark.parametrize(("views", "only"), [({}, ()), ({"b": ViewSettings()}, ("a",))])
def test_a_reload_that_would_stop_everything_is_refused(views: dict[str, ViewSettings], only: tuple[str, ...]):
    with pytest.raises(SettingsError, match="views: none"):
        decide_reload(Settings(views={"a": ViewSettings()}), Settings(views=views), only=only)


def test_a_translator_keeps_its_group():
    old = Settings()
    new = msgspec.structs.replace(old, translator=TranslatorSettings(group="other"), seal=SealSettings(directory="k"))
    kept = keep_fixed(old, new, TRANSLATOR_FIXED)
    assert kept.fixed == ("translator.group",)
    assert kept.settings == msgspec.structs.replace(old, seal=SealSettings(directory="k"))
