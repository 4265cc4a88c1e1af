"""A small HTTP/1.1 client on asyncio's streams, for load that costs its own machine little.

One client has one keep-alive connection, as a buyer has one: requests follow one another on it.
It speaks with any server over any network; `benchmarks/load.py` speaks with our own alone, and gives
all of that up for what a request costs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

NO_BODY = frozenset({204, 304})


class NoAnswer(Exception):
    """Nobody could be reached, or the connection ended or the time was over before the answer was whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. The names of `headers` are in small letters; of several of one name the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem document (RFC 9457)."""
        return self.headers.get("content-type", "").startswith("application/problem+json")

    @property
    def retry_after(self) -> float:
        """The seconds after which to ask again, one where the answer does not say."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdecimal() else 1.0

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` where it is not."""
        return json.loads(self.body)


class Client:
    """A connection to one origin, such as `http://127.0.0.1:8000`, opened when it is first needed.

    `source` is the address of this machine that it comes from. A request that is not answered within
    `timeout` seconds raises `NoAnswer`, and the connection is given up.
    """

    def __init__(
        self,
        origin: str,
        *,
        source: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> None:
        parts = urlsplit(origin)
        self.origin = origin
        self.timeout = timeout
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._source = (source, 0) if source else None
        self._common = _lines({"Host": parts.netloc, **(headers or {})})
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._is_busy = False

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Ask, and wait for the whole answer. Raises `NoAnswer`."""
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        head = f"{method} {path} HTTP/1.1\r\n{self._common}{_lines(headers or {})}{length}\r\n"
        message = head.encode("latin-1") + body
        try:
            async with asyncio.timeout(self.timeout):
                return await self._exchange(message)
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {self.timeout:.0f} s") from error
        except (OSError, EOFError, ValueError, LookupError, asyncio.LimitOverrunError) as error:
            raise NoAnswer(_told(error)) from error
        finally:
            # What was interrupted, by an error or from outside, leaves half an answer on the connection.
            if self._is_busy:
                self.close()

    def close(self) -> None:
        """Hang up; the next request opens another connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
        self._is_busy = False

    async def _exchange(self, message: bytes) -> Answer:
        is_kept = self._writer is not None
        self._is_busy = True
        try:
            reader, head = await self._send(message)
        except (ConnectionError, EOFError):
            # A server may hang up on an idle connection in the moment in which it is used again.
            if not is_kept:
                raise
            self.close()
            self._is_busy = True
            reader, head = await self._send(message)
        return await self._receive(reader, head, has_body=not message.startswith(b"HEAD "))

    async def _send(self, message: bytes) -> tuple[asyncio.StreamReader, bytes]:
        """Send a request, and return the answer's head as it came, and where the rest comes."""
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(
                self._host, self._port, ssl=self._tls, local_addr=self._source
            )
        self._writer.write(message)
        return self._reader, await self._reader.readuntil(b"\r\n\r\n")

    async def _receive(self, reader: asyncio.StreamReader, head: bytes, *, has_body: bool) -> Answer:
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        status = int(first.split(" ", 2)[1])
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _colon, value in pairs}
        is_empty = status in NO_BODY or not has_body
        body = b"" if is_empty else await _read_body(reader, headers)
        self._is_busy = False
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    headers["connection"] = "close"
    return await reader.read()


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(chunks)


async def get_json(client: Client, path: str) -> Any:
    """Read a JSON document, waiting where the server asks it. Raises `NoAnswer` for anything else."""
    while True:
        answer = await client.request("GET", path)
        if answer.status == 429:
            await asyncio.sleep(answer.retry_after)
            continue
        with contextlib.suppress(ValueError):
            if answer.status == 200:
                return answer.json()
        raise NoAnswer(f"{path} answers {answer.status}")


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _told(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the connection ended before the answer did"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else type(error).__name__
    return "not an answer in HTTP/1.1"
