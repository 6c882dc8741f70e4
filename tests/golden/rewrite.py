"""`make golden`: rewrite what every case wants. Read the diff: accept only what you can explain."""

from __future__ import annotations

import sys

from tests.golden.case import ROOT, case_paths, rewritten


def main() -> None:
    """Rewrite all cases, or those whose path contains one of the arguments."""
    for path in case_paths():
        if sys.argv[1:] and not any(wanted in str(path) for wanted in sys.argv[1:]):
            continue
        text = rewritten(path)
        if text != path.read_text():
            path.write_text(text)
            sys.stdout.write(f"rewritten: {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
