"""Draws docs/watch-session.md from the transition table: `python -m tests.agent.store.watch_diagram` rewrites it."""

from __future__ import annotations

from pathlib import Path

from agent.store.watcher import TRANSITIONS, State

DOCUMENT = Path(__file__).parents[3] / "docs" / "watch-session.md"
_HEAD = """# A watch session

Drawn from the transition table in `agent/store/watcher.py`; a test fails when this picture is old. Rewrite it with
`python -m tests.agent.store.watch_diagram`. Events that change nothing are left out of the picture; an event that is
in neither the picture nor the list cannot happen in that state.

"""


def render() -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    ignored: dict[str, list[str]] = {state.name: [] for state in State}
    for (state, event), (action, targets) in TRANSITIONS.items():
        if action.__name__ == "_ignore":
            ignored[state.name].append(event.__name__)
            continue
        for target in targets:
            arrows.setdefault((state.name, target.name), []).append(event.__name__)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> CREATED"]
    lines += [f"    {source} --> {target}: {', '.join(events)}" for (source, target), events in arrows.items()]
    lines += ["    CANCELED --> [*]", "```", "", "| state | ignores |", "|---|---|"]
    lines += [f"| {state} | {', '.join(events) or '-'} |" for state, events in ignored.items()]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(render(), "utf-8")
