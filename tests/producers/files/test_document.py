from __future__ import annotations

import pytest

from producers.files.document import UnreadableDocumentError, line_of, read_tree, shown


def test_json_and_yaml_give_the_same_tree():
    assert read_tree(b'{"a": [1, "x"]}') == read_tree(b"\xef\xbb\xbfa:\n- 1\n- x\n") == {"a": [1, "x"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2020-01-01", "2020-01-01"),
        ("1:20", "1:20"),
        ("012", "012"),
        ("1.2.3.4", "1.2.3.4"),
        ("0x10", 16),
        ("-3", -3),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("~", None),
        ("5s", "5s"),
    ],
)
def test_plain_scalars_are_read_as_envoy_reads_them(text, value):
    found = read_tree(f"a: {text}".encode())["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b" \n", 0, "the file is empty"),
        (b"a: 1\nb: \xff", 2, "not UTF-8 text"),
        (b"a: 1\nb: [", 3, "not YAML: "),
        (b"a: 1\nb: c: d", 2, "not YAML: mapping values"),
        (b"a: 1\na: 2", 2, "not YAML: the key a stands twice"),
        (b"a: !!python/object:os.system x", 1, "not YAML: could not determine a constructor"),
        (b'{"a": 1,\n}}', 2, "not YAML: "),
        (b"a: *nobody", 1, "not YAML: found undefined alias"),
    ],
)
def test_what_cannot_be_read_says_where_in_one_line(data, line, message):
    with pytest.raises(UnreadableDocumentError) as caught:
        read_tree(data)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert caught.value.line == line


def test_merge_keys_work_and_what_is_merged_may_be_overridden():
    tree = read_tree(b"base: &b {x: 1, y: 1}\none: {<<: *b, y: 2}\ntwo: {<<: [*b, *b]}")
    assert (tree["one"], tree["two"]) == ({"x": 1, "y": 2}, {"x": 1, "y": 1})


def test_merge_keys_that_multiply_are_refused():
    wide = "base: &b {" + ", ".join(f"k{n}: 1" for n in range(2_000)) + "}\n"
    with pytest.raises(UnreadableDocumentError, match="aliases expand to too many keys"):
        read_tree((wide + "all: {<<: [" + ", ".join(["*b"] * 100) + "]}").encode())


DOCUMENT = b"""\
a:
  - name: x
    b: {c: 1}
  - name: y
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [(("a",), 1), (("a", 0, "b", "c"), 3), (("a", 1), 4), (("a", 1, "gone"), 4), (("gone",), 0), (("a", 7), 1)],
)
def test_the_line_of_a_path_or_of_what_exists_of_it(path, line):
    assert line_of(DOCUMENT, path) == line


def test_the_line_in_json_with_tabs():
    assert line_of(b'{\n\t"a": {\n\t\t"b": 1}}', ("a", "b")) == 3


def test_a_document_that_is_no_yaml_has_no_lines():
    assert line_of(b"a: [", ("a",)) == 0


def test_paths_are_shown_as_people_write_them():
    assert shown(("a", 0, "b", 1, 2)) == "a[0].b[1][2]"
