"""Asks the control API of the APISIX beside the agent, in a thread: stdlib HTTP, a bounded answer, never a proxy."""

from __future__ import annotations

import asyncio
import http.client
from urllib.parse import urlsplit

from agent.neighbour import PATHS, ForeignAnswerError, read_listing

TIMEOUT_S = 5.0
MAX_BYTES = 256 << 20


class ControlAPI:
    """The control API at one address.

    Args:
        url: http://HOST:PORT.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlsplit(url)

    async def listing(self) -> dict[bytes, int]:
        """List the routes and upstreams APISIX has, with the mod_revision each was loaded with.

        Raises:
            OSError: nobody answers in time.
            ForeignAnswerError: what answers is no control API.
        """
        return await asyncio.to_thread(self._listing)

    def _listing(self) -> dict[bytes, int]:
        return {key: revision for path in PATHS.values() for key, revision in read_listing(self._get(path)).items()}

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection(
            self._address.hostname or "", self._address.port or 80, timeout=TIMEOUT_S
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read(MAX_BYTES)
        except http.client.HTTPException as error:
            raise ForeignAnswerError(f"it does not speak HTTP ({type(error).__name__})") from error
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise ForeignAnswerError(f"{path} is answered with {answer.status}")
        return body
