"""A process of its own that stands for the lead of a topic: `python -m tests.pipeline.log.candidate URL TOPIC`.

It says on standard output what becomes of it: `leads`; once it has lost the lead, `fenced` or `written` as its writer
is refused or not; and then it stands for the lead again.
"""

from __future__ import annotations

import asyncio
import sys

from pipeline.log import NewRecord, WriterFencedError, open_log


async def main(url: str, topic: str) -> None:
    async with open_log(url) as log:
        lead = log.lead(topic, topic)
        while True:
            await lead.take()
            writer = await log.writer(topic)
            await writer.append(topic, [NewRecord("leader", b"candidate")])
            say("leads")
            await lead.lost()
            try:
                await writer.append(topic, [NewRecord("zombie", b"")])
            except WriterFencedError:
                say("fenced")
            else:
                say("written")
            await writer.close()


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
