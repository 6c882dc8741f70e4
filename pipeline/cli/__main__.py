"""`python -m pipeline.cli`: the command `meshferry` without its script."""

from __future__ import annotations

from pipeline.cli import main

main()
