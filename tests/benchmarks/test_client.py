"""The client of the load, against servers that do what HTTP/1.1 allows, and some that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from benchmarks.client import Answer, Client, NoAnswer

OK = b"HTTP/1.1 200 OK\r\n"
# For each connection, in turn, what is sent after each request.
Script = list[list[bytes]]


def served(script: Script, ask: Callable[[Client], Awaitable[list[Answer]]], **facts) -> list[Answer]:
    """What `ask` gets from a server that follows the script, and hangs up where a part of it ends."""

    connections: list = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        for answer in script.pop(0):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async def run() -> list[Answer]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}", **facts)
        try:
            return await ask(client)
        finally:
            client.close()
            server.close()
            await asyncio.gather(*connections, return_exceptions=True)

    return asyncio.run(run())


async def get_two(client: Client) -> list[Answer]:
    return [await client.request("GET", "/1"), await client.request("GET", "/2")]


async def get_one(client: Client) -> list[Answer]:
    return [await client.request("GET", "/1")]


@pytest.mark.parametrize(
    "second",
    [
        OK + b"Content-Length: 3\r\n\r\ntwo",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1;x=y\r\no\r\n0\r\nTrailer: 1\r\n\r\n",
        OK + b"\r\ntwo",
        b"HTTP/1.1 200 \r\ncontent-length:3\r\n\r\ntwo",
    ],
)
def test_answers_follow_one_another_on_one_connection(second):
    script = [[OK + b"Content-Length: 3\r\n\r\none", second]]

    assert [answer.body for answer in served(script, get_two)] == [b"one", b"two"]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answer_without_a_body_is_not_waited_for(status):
    script = [[b"HTTP/1.1 " + status + b"\r\n\r\n", OK + b"Content-Length: 3\r\n\r\ntwo"]]

    assert [answer.body for answer in served(script, get_two)] == [b"", b"two"]


@pytest.mark.parametrize("last", [b"Connection: close\r\n", b""])
def test_request_is_sent_again_when_the_server_has_hung_up_meanwhile(last):
    answer = OK + last + b"Content-Length: 3\r\n\r\none"

    assert [answer.body for answer in served([[answer], [answer]], get_two)] == [b"one", b"one"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the connection ended before the answer did"),
        (OK + b"Content-Length: 5\r\n\r\none", "the connection ended before the answer did"),
        (b"nonsense\r\n\r\n", "not an answer in HTTP/1.1"),
    ],
)
def test_broken_answer_is_none(answer, reason):
    with pytest.raises(NoAnswer, match=reason):
        served([[answer]], get_one)


def test_server_that_says_nothing_is_not_waited_for():
    async def never(client: Client) -> list[Answer]:
        with pytest.raises(NoAnswer, match="no answer within 0 s"):
            await client.request("POST", "/1", body=b"unfinished")
        return []

    assert served([[b"HTTP/1.1 100", b""]], never, timeout=0.1) == []


def test_nobody_at_home_is_no_answer():
    with pytest.raises(NoAnswer, match="refused"):
        asyncio.run(get_one(Client("http://127.0.0.1:1")))


def test_problem_document_and_pause_are_read():
    answer = Answer(
        429,
        {"content-type": "application/problem+json; charset=utf-8", "retry-after": "7"},
        b'{"code": "rate_limited"}',
    )

    assert (answer.is_problem, answer.retry_after, answer.json()) == (True, 7.0, {"code": "rate_limited"})
    assert Answer(503, {}, b"").retry_after == 1.0
