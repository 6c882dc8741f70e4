from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from pipeline.key_directory import (
    KeysExistError,
    create_keys,
    list_keys,
    load_or_create_keys,
    opener_of,
    public_line,
    rotate_keys,
)
from pipeline.seal import Sealer, SealError, to_text

if TYPE_CHECKING:
    from pathlib import Path

PEM = b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"


def sealer_of(keys) -> Sealer:
    return Sealer(keys.public_key, keys.fingerprint_key)


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path):
    keys = load_or_create_keys(tmp_path / "seal")
    again = load_or_create_keys(tmp_path / "seal")
    assert (keys.public_key, keys.fingerprint_key) == (again.public_key, again.fingerprint_key)
    assert opener_of(again).open(Sealer(keys.public_key, keys.fingerprint_key).seal(PEM)) == PEM
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "seal").iterdir()} == {
        "seal.key": 0o600,
        "seal.pub": 0o600,
    }


def test_a_producer_with_the_public_key_only_seals_but_does_not_open(tmp_path: Path):
    keys = load_or_create_keys(tmp_path / "agent")
    (tmp_path / "producer").mkdir()
    (tmp_path / "producer" / "seal.pub").write_bytes((tmp_path / "agent" / "seal.pub").read_bytes())
    sealing = load_or_create_keys(tmp_path / "producer")
    assert sealing.fingerprint_key == load_or_create_keys(tmp_path / "producer").fingerprint_key
    assert opener_of(keys).open(Sealer(sealing.public_key, sealing.fingerprint_key).seal(PEM)) == PEM
    with pytest.raises(SealError, match=r"seal\.key is missing"):
        opener_of(sealing)


def test_a_key_that_appeared_meanwhile_is_the_one_that_is_used(tmp_path: Path, monkeypatch):
    first = load_or_create_keys(tmp_path)
    path = tmp_path / "seal.key"
    monkeypatch.setattr(type(path), "exists", lambda _: False)
    assert load_or_create_keys(tmp_path).public_key == first.public_key
    assert sorted(found.name for found in tmp_path.iterdir()) == ["seal.key", "seal.pub"]


@pytest.mark.parametrize("content", [b"", b"AAAA", b"!!!!", b"\xff" * 43])
def test_a_damaged_key_file_is_named_and_not_shown(tmp_path: Path, content):
    path = tmp_path / "seal.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SealError, match=r"seal\.key: not a key of 32 bytes in base64url"):
        load_or_create_keys(tmp_path)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path):
    load_or_create_keys(tmp_path)
    (tmp_path / "seal.key").chmod(0o640)
    with pytest.raises(SealError, match="chmod 600"):
        load_or_create_keys(tmp_path)


def test_new_keys_overwrite_nothing(tmp_path: Path):
    keys = create_keys(tmp_path / "keys")
    with pytest.raises(KeysExistError, match=r"seal\.key exists; `meshferry keys rotate`"):
        create_keys(tmp_path / "keys")
    assert load_or_create_keys(tmp_path / "keys").public_key == keys.public_key
    (tmp_path / "keys" / "seal.key").unlink()
    with pytest.raises(KeysExistError, match=r"seal\.pub exists"):
        create_keys(tmp_path / "keys")


def test_a_rotation_seals_anew_and_opens_both(tmp_path: Path):
    before = create_keys(tmp_path)
    token = sealer_of(before).seal(PEM)
    after = rotate_keys(tmp_path)
    again = rotate_keys(tmp_path)
    assert len({before.key_id, after.key_id, again.key_id}) == 3
    sealer = sealer_of(again)
    sealer.remember(token.encode())
    renewed = sealer.seal(PEM)
    assert renewed.split(".")[1] == again.key_id
    opener = opener_of(load_or_create_keys(tmp_path))
    assert opener.open(token) == opener.open(sealer_of(after).seal(PEM)) == opener.open(renewed) == PEM
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())


def test_the_list_tells_the_current_key_first_and_no_key(tmp_path: Path):
    before, after = create_keys(tmp_path), rotate_keys(tmp_path)
    listed = list_keys(tmp_path)
    assert [(key.key_id, key.is_current, key.opens) for key in listed] == [
        (after.key_id, True, True),
        (before.key_id, False, True),
    ]
    assert listed[0].created_ms >= listed[1].created_ms > 0
    for keys in (before, after):
        assert to_text(keys.private_key.private_bytes_raw()) not in str(listed)


def test_a_rotation_that_was_cut_short_leaves_no_wrong_public_key(tmp_path: Path):
    create_keys(tmp_path)
    stale = (tmp_path / "seal.pub").read_text()
    keys = rotate_keys(tmp_path)
    (tmp_path / "seal.pub").write_text(stale)
    assert load_or_create_keys(tmp_path).public_key == keys.public_key
    assert (tmp_path / "seal.pub").read_text() == to_text(keys.public_key) + "\n"


def test_the_public_part_is_enough_for_a_producer(tmp_path: Path):
    keys = create_keys(tmp_path / "agent")
    producer = tmp_path / "producer"
    producer.mkdir()
    (producer / "seal.pub").write_text(public_line(tmp_path / "agent"))
    assert opener_of(keys).open(sealer_of(load_or_create_keys(producer)).seal(PEM)) == PEM
    [listed] = list_keys(producer)
    assert (listed.key_id, listed.opens) == (keys.key_id, False)
    with pytest.raises(SealError, match="rotate where the private key is"):
        rotate_keys(producer)


def test_where_there_are_no_keys_none_are_made_by_looking(tmp_path: Path):
    for look in (list_keys, public_line, rotate_keys):
        with pytest.raises(SealError):
            look(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
