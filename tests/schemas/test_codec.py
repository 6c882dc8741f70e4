from __future__ import annotations

import json
from pathlib import Path

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.records import (
    Approval,
    Bundle,
    BundleClass,
    Diagnostic,
    EtcdObject,
    Freeze,
    Genesis,
    Held,
    HeldKind,
    NodeStatus,
    Provenance,
    RejectedUnit,
    Release,
    Resource,
    Role,
    Severity,
    Unit,
    UnitKind,
)

text = st.text(max_size=20)
longs = st.integers(-(2**63), 2**63 - 1)
provenances = st.builds(Provenance, text, text, longs, text)
resources = st.builds(Resource, st.sampled_from(Role), text, text, st.binary(max_size=50))
diagnostics = st.builds(Diagnostic, text, st.sampled_from(Severity), text, text, text, text, text, text, text)
RECORDS = {
    "unit": st.builds(
        Unit,
        st.sampled_from(UnitKind),
        text,
        st.dictionaries(text, text, max_size=3),
        st.lists(resources, max_size=3).map(tuple),
        provenances,
    ),
    "bundle": st.builds(
        Bundle,
        text,
        st.sampled_from(BundleClass),
        longs,
        st.lists(st.builds(EtcdObject, text, st.binary(max_size=50)), max_size=3).map(tuple),
        st.lists(diagnostics, max_size=2).map(tuple),
        text,
        provenances,
    ),
    "genesis": st.builds(Genesis, text, longs, text),
    "node_status": st.builds(
        NodeStatus,
        text,
        text,
        longs,
        longs,
        st.integers(0, 2**31 - 1),
        st.booleans(),
        longs,
        text,
        st.lists(st.builds(RejectedUnit, text, text), max_size=2).map(tuple),
    ),
    "freeze": st.builds(Freeze, text, longs, st.booleans()),
    "release": st.builds(Release, longs, longs, st.integers(0, 100), st.dictionaries(text, text, max_size=2)),
    "approval": st.builds(Approval, text, text, longs),
    "held": st.builds(
        Held,
        text,
        st.sampled_from(HeldKind),
        st.lists(text, max_size=3).map(tuple),
        *[st.integers(0, 9)] * 3,
        longs,
        text,
    ),
}


def test_every_record_type_has_a_generator():
    assert set(RECORDS) == set(codec.TYPES)


@given(st.one_of(*RECORDS.values()))
def test_a_record_comes_back_as_it_was(record):
    assert codec.decode(codec.encode(record), type(record)) == record


@given(st.one_of(*RECORDS.values()), st.data())
def test_a_damaged_record_is_refused_or_read_but_never_crashes(record, data):
    encoded = bytearray(codec.encode(record))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]
    for damaged in (bytes(encoded), bytes(cut)):
        try:
            codec.decode_any(damaged)
        except codec.UnreadableRecordError as error:
            assert str(error)  # noqa: PT017 - the promise is that nothing else is raised


def test_another_type_is_refused():
    with pytest.raises(codec.UnreadableRecordError, match="a Genesis record where a Unit was expected"):
        codec.decode(codec.encode(Genesis("v", 1, "x")), Unit)


def test_an_unknown_schema_names_its_fingerprint():
    with pytest.raises(codec.UnreadableRecordError, match="schema 0807060504030201 is unknown"):
        codec.decode_any(b"\xc3\x01" + bytes(range(1, 9)) + b"body")


def test_fingerprints_follow_the_avro_specification():
    """The specification's own vector: the CRC-64-AVRO fingerprint of the schema "null"."""
    assert codec._fingerprint("null").hex() == "63dd24e7cc258f8a"


def fields(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "record":
            yield schema["name"], schema.get("doc")
            for field in schema["fields"]:
                yield f"{schema['name']}.{field['name']}", field.get("doc")
                yield from fields(field["type"])
        else:
            yield from fields(schema.get("items") or schema.get("values"))


@pytest.mark.parametrize("name", sorted(codec.TYPES))
def test_every_field_is_documented(name: str):
    documented = dict(fields(codec.schema(name)))
    assert documented
    assert not [field for field, doc in documented.items() if not doc]


@pytest.mark.parametrize("name", sorted(codec.TYPES))
def test_the_current_schema_is_a_released_one(name: str):
    """Change a schema only together with a new file under schemas/released, so that its records stay readable."""
    released = codec.released_schemas(name)
    assert codec.schema(name) == released[-1]


@pytest.mark.parametrize("name", sorted(codec.TYPES))
def test_compatibility_is_full_and_transitive(name: str):
    """Every released schema reads what every other one wrote."""
    released = codec.released_schemas(name)
    for writer in released:
        for reader in released:
            assert breaking_changes(writer, reader) == []


def breaking_changes(writer, reader) -> list[str]:
    """What in `reader` cannot be filled from records of `writer` (Avro schema resolution, by field)."""
    if isinstance(writer, dict) and isinstance(reader, dict) and writer.get("type") == reader.get("type"):
        if writer["type"] != "record":
            inner = "items" if "items" in writer else "values"
            return breaking_changes(writer[inner], reader[inner])
        written = {field["name"]: field["type"] for field in writer["fields"]}
        found = [
            f"{reader['name']}.{field['name']} has no default"
            for field in reader["fields"]
            if field["name"] not in written and "default" not in field
        ]
        for field in reader["fields"]:
            if field["name"] in written:
                found += breaking_changes(written[field["name"]], field["type"])
        return found
    return [] if writer == reader else [f"{writer} became {reader}"]


def test_the_compatibility_check_sees_a_break():
    old = codec.schema("genesis")
    added = json.loads(json.dumps(old))
    added["fields"].append({"name": "extra", "type": "string", "doc": "x"})
    assert breaking_changes(old, added) == ["Genesis.extra has no default"]
    added["fields"][-1]["default"] = ""
    assert breaking_changes(old, added) == []
    retyped = json.loads(json.dumps(old))
    retyped["fields"][1]["type"] = "string"
    assert breaking_changes(old, retyped) == ["long became string"]


def test_records_and_schemas_have_the_same_fields():
    for name, record_type in codec.TYPES.items():
        assert [field["name"] for field in codec.schema(name)["fields"]] == list(record_type.__struct_fields__)


def test_every_schema_file_parses():
    for path in Path("schemas/avro").glob("*.avsc"):
        fastavro.parse_schema(json.loads(path.read_text()))
