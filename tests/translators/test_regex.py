from __future__ import annotations

import re

import pytest

from tests.oracle.router import pcre
from translators.regex import Regex, RegexError, translate_regex

TEXTS = [
    "",
    "a",
    "A",
    "ab",
    "a\nb",
    "a-b",
    "a.b",
    "axb",
    "0",
    "a0",
    "{",
    "b{",
    "aab",
    " ",
    "\v",
    "]",
    "a]",
    "[",
    "a&b",
    "/v1/x",
]
SAME_IN_PYTHON = [
    "a", "a.b", r"a\.b", "a|b", "(a|b)*", "(?:ab)+", "a{2}b", "a{1,}b?", "a*?b", "[ab]+", "[^ab]", "[]a]+", "[^]a]",
    "[a-c0-9]*", r"[\d\-x]+", r"\d+", r"\w*", r"\W", r"\D", "(?i)ab", "(?i:A)b", "(?-i:a)", "(?P<n>a)b", r"\x41",
    r"\101", r"\ba\b", "b{", r"[\[\]]", "a()b", "", "[.]b",
    r"\t|a", r"\/v1\/x", r"[^/]+", "a\\-b",
]  # fmt: skip


@pytest.mark.parametrize("regex", SAME_IN_PYTHON)
def test_the_translation_matches_the_same_texts(regex: str):
    translated = translate_regex(regex)
    compiled = pcre(rf"\A(?:{translated.pcre})\z" if not regex.startswith("(?i)") else rf"(?i)\A(?:{regex[4:]})\z")
    for text in TEXTS:
        wanted = re.fullmatch(regex, text) is not None
        assert (compiled.search(text) is not None) == wanted, text
        if wanted:
            assert text.startswith(translated.literal_prefix)
    assert translated.matches_empty == (re.fullmatch(regex, "") is not None)


@pytest.mark.parametrize(
    ("regex", "wanted"),
    [
        ("^/a$", Regex(r"\A/a\z", "/a", matches_empty=False)),
        (r"\s[\s]", Regex(r"[\t\n\f\r ][\t\n\f\r ]", "", matches_empty=False)),
        (r"\S", Regex(r"[^\t\n\f\r ]", "", matches_empty=False)),
        (r"a\v", Regex("a\\\x0b", "a\x0b", matches_empty=False)),
        (r"\Qa.b\E+", Regex(r"a\.b+", "a.", matches_empty=False)),
        (r"\Qa+", Regex(r"a\+", "a+", matches_empty=False)),
        ("a{,5}", Regex(r"a\{\,5\}", "a{,5}", matches_empty=False)),
        (r"\pL\p{Lu}\P{^Nd}", Regex(r"\p{L}\p{Lu}\P{^Nd}", "", matches_empty=False)),
        ("[[:alpha:][:^digit:]]", Regex("[[:alpha:][:^digit:]]", "", matches_empty=False)),
        ("é+", Regex("(?:é)+", "", matches_empty=False)),
        ("/api/v[0-9]+", Regex("/api/v[0-9]+", "/api/v", matches_empty=False)),
        ("/ab?", Regex("/ab?", "/a", matches_empty=False)),
        ("/a(?i)b|c", Regex("/a(?i)b|c", "", matches_empty=False)),
        (r"\B", Regex(r"\B", "", matches_empty=True)),
    ],
)
def test_what_the_languages_write_differently(regex: str, wanted: Regex):
    assert translate_regex(regex) == wanted


@pytest.mark.parametrize(
    "regex",
    [
        "(", ")", "a)", "[a", "*a", "a**", "a*+", "a{2}{3}", "a{1001}", "a{3,2}", r"\1", r"\8", r"\C", r"\Z",
        r"\p{Greek}",        "(?=a)",
        "(?!a)", "(?<=a)", "(?>a)", "(?)", "(?#x)", "(?U)a", "(?m)^a", "(?m:^a)", "[b-a]", "[[:word:]-z-a]",
        "[[:nope:]]", r"[\S]", "[é]", r"\x{e9}", r"\xe9", "\\", "[\\", "a|*", "(?P<1>a)", "(" * 200 + ")" * 200, r"\é",
        "(?i)*",
    ],
)  # fmt: skip
def test_what_one_of_them_does_not_know_is_refused(regex: str):
    with pytest.raises(RegexError, match=r" at \d+ in "):
        translate_regex(regex)


@pytest.mark.parametrize(
    ("regex", "text", "wanted"),
    [
        (".*", "ab", True),
        (".*", "a&b", False),
        ("a[^x]b", "a&b", False),
        (r"a\Wb", "a&b", False),
        (r"a\Wb", "a-b", True),
        ("a&b", "a&b", False),
        ("a|&", "a", True),
    ],
)
def test_an_excluded_character_is_never_consumed(regex: str, text: str, wanted):
    assert (pcre(rf"\A(?:{translate_regex(regex, '&').pcre})\z").search(text) is not None) == wanted
