"""A process of its own that works on a SQLite log: `python -m tests.pipeline.log.appender URL TOPIC HOW`.

paced: append one record per line of standard input; its value is the monotonic time in ns before the append.
storm: append transactions of TRANSACTION_SIZE records, numbered, as fast as it can, until it is killed.
die: run a transform whose step ends the process.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time

from pipeline.log import NewRecord, open_log

TRANSACTION_SIZE = 7


async def main(url: str, topic: str, how: str) -> None:
    async with open_log(url) as log:
        if how == "die":
            await log.transform({topic: f"{topic}.out"}, topic, lambda *_: os._exit(9)).run()
        writer = await log.writer(topic)
        if how == "storm":
            for number in itertools.count():
                await writer.append(topic, [NewRecord(f"k{part}", b"%d" % number) for part in range(TRANSACTION_SIZE)])
        for _line in iter(sys.stdin.readline, ""):
            await writer.append(topic, [NewRecord("k", b"%d" % time.monotonic_ns())])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
