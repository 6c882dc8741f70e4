"""`python -S pipeline/parent/__main__.py ROOT FDS FORMAT COMMAND…`: become the parent of COMMAND.

Run by its path and without site-packages, which keeps it small; ROOT is where the package `pipeline` lies.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    from pipeline.parent.process import run

    sys.exit(run([int(fd) for fd in sys.argv[2].split(",")], sys.argv[3], sys.argv[4:]))
