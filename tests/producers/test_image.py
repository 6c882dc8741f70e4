from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.image import Delta, Entry, Image, Replacement, ResourceKey
from schemas import xds

KEYS = [ResourceKey(xds.CLUSTER, "a"), ResourceKey(xds.CLUSTER, "b"), ResourceKey(xds.SECRET, "a")]
REPLACEMENTS = st.lists(
    st.builds(
        lambda key, body: Replacement(key, None if body is None else Entry(body, body, "")),
        st.sampled_from(KEYS),
        st.none() | st.sampled_from([b"1", b"2"]),
    )
)


def content(image: Image) -> dict:
    return {key: image.get(*key).body for key in image.everything().changed}


def test_equal_bytes_are_no_change():
    image = Image()
    entry = Entry("message", b"1", "v1")
    assert image.replay([Replacement(KEYS[0], entry)]) == Delta((KEYS[0],))
    assert image.replay([Replacement(KEYS[0], entry._replace(version_info="v2"))]) == Delta(())
    assert image.get(*KEYS[0]).version_info == "v2"


def test_a_resource_that_comes_and_goes_in_one_replay_is_no_change():
    image = Image()
    assert image.replay([Replacement(KEYS[0], Entry("m", b"1", "")), Replacement(KEYS[0], None)]) == Delta(())
    assert list(image.names(xds.CLUSTER)) == []


@given(REPLACEMENTS, st.data())
def test_any_split_of_the_replacements_gives_the_same_image(replacements, data):
    at = data.draw(st.integers(0, len(replacements)))
    whole, split = Image(), Image()
    delta = whole.replay(replacements)
    split.replay(replacements[:at])
    split.replay(replacements[at:])
    assert content(whole) == content(split)
    assert set(delta.changed) == set(content(whole))
