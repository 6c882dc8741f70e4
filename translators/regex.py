r"""Translate regular expressions from RE2, which Envoy speaks, to PCRE, which APISIX speaks (mapping.md section 3).

The syntax is checked as RE2 checks it, so that what Envoy would refuse is refused here, and each construct is written
in the form that PCRE reads alike: `^` and `$` become `\A` and `\z`, `\s` and `\v` get RE2's meaning, braces that are
no repetition are escaped. What has no counterpart raises. The translation also tells what a match must begin with
and whether the empty text matches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from translators.expr import escape

_MAX_REPEAT_COUNT = 1000
_MAX_DEPTH = 100
_REPEAT = re.compile(r"\{(\d+)(,(\d*))?\}")
_FLAGS = re.compile(r"\?([ims]*)(-[ims]+)?([:)])")
_GROUP_NAME = re.compile(r"\?P?<([A-Za-z_]\w*)>")
_POSIX_CLASS = re.compile(r"\[:\^?([a-z]+):\]")
_POSIX_NAMES = re.compile("alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit")
_UNICODE_CLASS = re.compile(r"[pP](?:([CLMNPSZ])|\{(\^?[CLMNPSZ][a-z]?)\})")
_HEX = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_PERL_CLASSES = {"d": r"\d", "D": r"\D", "w": r"\w", "W": r"\W", "s": r"[\t\n\f\r ]", "S": r"[^\t\n\f\r ]"}
_PERL_IN_CLASS = {**_PERL_CLASSES, "s": r"\t\n\f\r "}
_CONTROLS = {"a": "\x07", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_ASCII_END = 0x80
_SPECIAL_IN_CLASS = "\\[]^-"
_UNIT = re.compile(r"\\?[\x00-\x7f]|\[(?:\\.|[^\]\\])*\]")
"""What a repetition operator may follow directly."""


class RegexError(ValueError):
    """The regex does not compile in RE2 or has no equal in PCRE; the message says why."""


@dataclass(frozen=True, slots=True)
class Regex:
    """A translated regex.

    Attributes:
        pcre: to be put between anchors, within `(?s:…)`.
        literal_prefix: what every text that matches in full begins with; possibly empty.
        matches_empty: whether the empty text matches.
    """

    pcre: str
    literal_prefix: str
    matches_empty: bool


@lru_cache(maxsize=4096)
def translate_regex(regex: str, excluded: str = "") -> Regex:
    """Translate a regex.

    Args:
        regex: in RE2's syntax.
        excluded: characters that no part of a match may consume, e.g. `&` within a query string.

    Raises:
        RegexError: see there.
    """
    parser = _Parser(regex, excluded)
    alternatives = parser.alternation()
    if parser.at < len(parser.regex):
        parser.fail("unexpected )")
    return alternatives


@dataclass(slots=True)
class _Atom:
    pcre: str
    literal: str | None
    matches_empty: bool
    repeatable: bool = True
    is_group: bool = False


class _Parser:
    """Recursive descent over RE2's grammar."""

    def __init__(self, regex: str, excluded: str) -> None:
        self.regex = regex
        self.excluded = excluded
        self.guard = "".join(f"(?!{escape(char)})" for char in excluded)
        self.at = 0
        self.depth = 0

    def fail(self, reason: str) -> NoReturn:
        raise RegexError(f"{reason} at {self.at} in {self.regex}")

    def peek(self) -> str:
        return self.regex[self.at : self.at + 1]

    def alternation(self) -> Regex:
        """Parse branches up to the end or an unopened `)`."""
        branches = [self.branch()]
        while self.peek() == "|":
            self.at += 1
            branches.append(self.branch())
        prefix = branches[0].literal_prefix if len(branches) == 1 else ""
        return Regex("|".join(b.pcre for b in branches), prefix, any(b.matches_empty for b in branches))

    def branch(self) -> Regex:
        pcre: list[str] = []
        prefix: list[str] = []
        is_literal = matches_empty = True
        while self.peek() not in ("", "|", ")"):
            atom = self.repeated(self.atom())
            pcre.append(atom.pcre)
            matches_empty = matches_empty and atom.matches_empty
            is_literal = is_literal and atom.literal is not None
            if is_literal:
                prefix.append(atom.literal or "")
        return Regex("".join(pcre), "".join(prefix), matches_empty)

    def repeated(self, atom: _Atom) -> _Atom:
        """Parse what repeats an atom: at most one operator, possibly lazy, as RE2 allows."""
        operator = self._operator()
        if not operator:
            return atom
        if not atom.repeatable:
            self.fail("missing argument to repetition operator")
        lowest = 0 if operator[0] in "*?" else 1 if operator == "+" else int(operator[1:].split(",")[0].rstrip("}"))
        if self.peek() == "?":
            self.at += 1
            operator += "?"
        if self._operator():
            self.fail("bad repetition operator")
        body = atom.pcre if atom.is_group or _UNIT.fullmatch(atom.pcre) else f"(?:{atom.pcre})"
        return _Atom(body + operator, None, atom.matches_empty or lowest == 0)

    def _operator(self) -> str:
        char = self.peek()
        if char and char in "*+?":
            self.at += 1
            return char
        found = _REPEAT.match(self.regex, self.at)
        if not found:
            return ""
        low, high = int(found[1]), int(found[3] or found[1])
        if max(low, high) > _MAX_REPEAT_COUNT or high < low:
            self.fail("invalid repetition size")
        self.at = found.end()
        return found.group()

    def atom(self) -> _Atom:
        char = self.peek()
        compound = {"(": self.group, "[": self.char_class, "\\": self.escaped}.get(char)
        if compound is not None:
            return compound()
        if char in "*+?":
            self.fail("missing argument to repetition operator")
        self.at += 1
        if char == ".":
            return self._guarded(".")
        if char == "^":
            return _Atom(r"\A", "", matches_empty=True)
        return _Atom(r"\z", None, matches_empty=True) if char == "$" else self.literal(char)

    def literal(self, char: str) -> _Atom:
        if char in self.excluded:
            return _Atom("(?!)", None, matches_empty=False)
        return _Atom(escape(char), char, matches_empty=False)

    def group(self) -> _Atom:
        self.at += 1
        opening = "("
        if self.peek() == "?":
            flags = _FLAGS.match(self.regex, self.at)
            found = flags or _GROUP_NAME.match(self.regex, self.at)
            if found is None:
                self.fail("group that only Perl or only RE2 knows")
            if flags and "m" in flags[1]:
                self.fail("(?m) has no equal")
            self.at = found.end()
            if flags and flags[3] == ")":
                return self._flags(flags)
            opening = f"({flags.group()}" if flags else "("
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail("too many nested groups")
        inner = self.alternation()
        self.depth -= 1
        if self.peek() != ")":
            self.fail("missing )")
        self.at += 1
        return _Atom(f"{opening}{inner.pcre})", None, inner.matches_empty, is_group=True)

    def _flags(self, flags: re.Match[str]) -> _Atom:
        """`(?i)` holds to the end of the group, further branches included, in both languages."""
        if not flags[1] and not flags[2]:
            self.fail("missing flags")
        return _Atom(f"({flags.group()}", None, matches_empty=True, repeatable=False)

    def escaped(self) -> _Atom:
        self.at += 1
        char = self.peek()
        if char == "Q":
            return self._quoted()
        if char and char in "AzbB":
            self.at += 1
            literal = "" if char == "A" else None
            return _Atom(f"\\{char}", literal, matches_empty=char != "b")
        if char in _PERL_CLASSES:
            self.at += 1
            return self._guarded(_PERL_CLASSES[char])
        unicode_class = _UNICODE_CLASS.match(self.regex, self.at)
        if unicode_class:
            self.at = unicode_class.end()
            return self._guarded(f"\\{char}{{{unicode_class[1] or unicode_class[2]}}}")
        return self.literal(self.escaped_char())

    def _guarded(self, pcre: str) -> _Atom:
        return _Atom(f"(?:{self.guard}{pcre})" if self.guard else pcre, None, matches_empty=False)

    def _quoted(self) -> _Atom:
        r"""Replace `\Q…\E` by its escaped text, which is parsed next."""
        end = self.regex.find(r"\E", self.at)
        text = self.regex[self.at + 1 : end if end >= 0 else len(self.regex)]
        self.regex = self.regex[: self.at - 1] + escape(text) + (self.regex[end + 2 :] if end >= 0 else "")
        self.at -= 1
        return _Atom("", "", matches_empty=True, repeatable=False)

    def escaped_char(self) -> str:
        """Parse the one character behind a backslash."""
        char = self.peek()
        if not char:
            self.fail("trailing backslash")
        octal, hexadecimal = _OCTAL.match(self.regex, self.at), _HEX.match(self.regex, self.at)
        found = octal or hexadecimal
        if found:
            self.at = found.end()
            code = int(octal.group(), 8) if octal else int(found[1] or found[2], 16)
            if code >= _ASCII_END:
                self.fail("escape of a character beyond ASCII")
            return chr(code)
        self.at += 1
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char.isalnum() or ord(char) >= _ASCII_END:
            self.at -= 1
            self.fail(f"escape \\{char} that only Perl or only RE2 knows")
        return char

    def char_class(self) -> _Atom:
        self.at += 1
        parts: list[str] = []
        if self.peek() == "^":
            self.at += 1
            parts.append("^")
        opened = self.at
        while self.peek() != "]" or self.at == opened:
            parts.append(self._class_item())
        self.at += 1
        return self._guarded(f"[{''.join(parts)}]")

    def _class_item(self) -> str:
        posix = _POSIX_CLASS.match(self.regex, self.at)
        if posix:
            if not _POSIX_NAMES.fullmatch(posix[1]):
                self.fail("invalid character class range")
            self.at = posix.end()
            return posix.group()
        if self.peek() == "\\" and self.regex[self.at + 1 : self.at + 2] in _PERL_IN_CLASS:
            char = self.regex[self.at + 1 : self.at + 2]
            if char == "S":
                self.fail(r"\S in a character class")
            self.at += 2
            return _PERL_IN_CLASS[char]
        first = self._class_char()
        if self.peek() != "-" or self.regex[self.at + 1 : self.at + 2] in ("]", ""):
            return _escape_in_class(first)
        self.at += 1
        last = self._class_char()
        if last < first:
            self.fail("invalid character class range")
        return f"{_escape_in_class(first)}-{_escape_in_class(last)}"

    def _class_char(self) -> str:
        char = self.peek()
        if not char:
            self.fail("missing ]")
        self.at += 1
        if char == "\\":
            return self.escaped_char()
        if ord(char) >= _ASCII_END:
            self.fail("character beyond ASCII in a class")
        return char


def _escape_in_class(char: str) -> str:
    if char in _SPECIAL_IN_CLASS:
        return f"\\{char}"
    return char if char.isprintable() else f"\\x{ord(char):02x}"
