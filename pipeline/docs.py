"""Writes the generated documents: `python -m pipeline.docs` rewrites them, `--check` fails when one is old."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import orjson

import pipeline.settings
from pipeline.cli.features import feature_rows, markdown
from pipeline.settings import Settings
from pipeline.state_diagram import session_document
from translators.diagnostics import CODES
from translators.policy import version_text
from translators.requirement import REQUIREMENTS, TEMPLATE_SOURCE, TEMPLATE_VERSION, Loss

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path("docs")


def documents() -> dict[Path, str]:
    """Give every generated document by its path."""
    schema = orjson.dumps(msgspec.json.schema(Settings), option=orjson.OPT_INDENT_2).decode()
    return {
        DOCS / "settings.md": settings_document(),
        DOCS / "settings.schema.json": schema + "\n",
        DOCS / "mappings.md": mappings_document(),
        DOCS / "diagnostics.md": diagnostics_document(),
        DOCS / "apisix-versions.md": versions_document(),
        DOCS / "ads-session.md": session_document(),
    }


def settings_document() -> str:
    """Describe every setting, from the strings that stand under the fields of the settings tree."""
    lines = [
        "# Settings",
        "",
        "One file for all roles, given with `--settings`. `MESHFERRY_SECTION__KEY` in the environment lies over it;",
        "a name that ends in `_FILE` gives a file whose content is the value. What a running process takes over from a",
        "changed file says [operation.md](operation.md); the JSON Schema is in",
        "[settings.schema.json](settings.schema.json). Generated; do not edit.",
        "",
    ]
    for section in ast.parse(inspect.getsource(pipeline.settings)).body:
        if isinstance(section, ast.ClassDef) and section.name.endswith("Settings") and section.name != "Settings":
            title = section.name.removesuffix("Settings")
            lines += [
                f"## {title}",
                "",
                ast.get_docstring(section) or "",
                "",
                "| key | default | meaning |",
                "|---|---|---|",
            ]
            lines += [f"| `{key}` | `{default}` | {meaning} |" for key, default, meaning in _fields(section)]
            lines.append("")
    return "\n".join(lines)


def _fields(section: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    for field, following in zip(section.body, [*section.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                text = str(following.value.value)
            yield field.target.id, _default(field.value), text.replace("|", "\\|")


def _default(value: ast.expr | None) -> str:
    """Give a default as it would be written in a settings file; a section's are listed in its own table."""
    if value is None:
        return "required"
    return "{}" if isinstance(value, ast.Call) else ast.unparse(value)


def mappings_document() -> str:
    """Describe what becomes of every xDS field and extension that the registry knows."""
    lines = [
        "# What each xDS field becomes",
        "",
        "Fidelity: E exact, A approximated, N not expressible (diagnosed), I without meaning for the data plane.",
        "What is lost, in plain words: [limits.md](limits.md).",
        "Generated from the registry (`meshferry features`); do not edit.",
        "",
    ]
    return "\n".join(lines) + "\n" + markdown(feature_rows())


def diagnostics_document() -> str:
    """Describe every diagnostic code."""
    lines = [
        "# Diagnostics",
        "",
        "What is said where nothing more precise is known. `policy.overrides` maps a code to `allow`, `warn`,",
        "`block_route` or `reject_resource`. What APISIX cannot do at all: [limits.md](limits.md).",
        "Generated; do not edit.",
        "",
        "| code | severity | class | effect | remedy |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {code} | {row.severity} | {row.diagnostic_class} | {row.effect} | {row.remedy} |"
        for code, row in CODES.items()
    ]
    return "\n".join(lines) + "\n"


_LOSSES = {
    Loss.COSMETIC: "left out, without a word",
    Loss.DECORATION: "left out, WARN",
    Loss.DECISION: "a route answers 503 instead, any other object is left out; ERROR",
}


def versions_document() -> str:
    """Describe what needs a newer APISIX than the oldest that is supported."""
    template = f"| {version_text(TEMPLATE_VERSION)} | plugins | a text with `${{x ?? default}}` | "
    lines = [
        "# Versions of APISIX",
        "",
        "`apisix_versions` of the policy names the versions of the nodes, such as `3.12-3.18`; a single version stands",
        "in quotes. The default is `3.18`: the one version that translations are compared with Envoy on. Nothing tells",
        "a translator what its nodes run, so older nodes have to be named, else they skip what they do not know.",
        "",
        "What the oldest of the versions lacks is not emitted, and OUT-VERSION says so; with `overrides` of `warn` or",
        "`allow` for it, only the setting is left out where otherwise the whole object would be. What is in no row,",
        "3.9 has. How older versions behave is not compared with Envoy: they lack the fixes of later ones.",
        "Generated; do not edit.",
        "",
        "| since | object | setting | without it | what is said | change of APISIX |",
        "|---|---|---|---|---|---|",
        template + "a header is left out, WARN; else as for decisions: 503, ERROR | | " + TEMPLATE_SOURCE + " |",
    ]
    lines += [
        f"| {version_text(row.since)} | {', '.join(row.directories)} | `{'.'.join(row.path)}`"
        f"{': ' + row.what if row.what else ''} | {_LOSSES[row.loss]} "
        f"| {row.effect} | {row.source} |"
        for row in sorted(REQUIREMENTS, key=lambda row: (row.since, row.directories, row.path, row.source))
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Rewrite the documents, or with `--check` name those that are old."""
    old = [path for path, text in documents().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in old:
            sys.stderr.write(f"{path} is old: run `make docs`\n")
        return 1 if old else 0
    for path in old:
        path.write_text(documents()[path], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
