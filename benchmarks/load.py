"""The load: one process, one thread, many keep-alive connections, each of which waits for its answer.

A closed loop over epoll, so that the generator costs tens of microseconds a request and leaves the
two cores to what is measured. Requests are whole HTTP/1.1 messages in bytes, and answers must say
their length. What people do, with pauses, TLS and servers that fail, is `benchmarks/client.py`'s: it
costs several times as much, which here would be taken from the server's share.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# A request that takes longer than this has failed; the run stops.
PATIENCE = 60.0


@dataclass
class Answer:
    """One answer: its HTTP status, its body, and the seconds it took."""

    status: int
    body: bytes
    seconds: float


@dataclass
class Outcome:
    """A run: how long it took, every request's time in the order of their ends, and what was answered."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def __add__(self, other: Outcome) -> Outcome:
        """Both runs as one."""
        return Outcome(self.seconds + other.seconds, self.times + other.times, self.statuses + other.statuses)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.times) / self.seconds

    def percentile(self, percent: float) -> float:
        """The seconds within which that many in a hundred requests were answered."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


# Given the connection's number and its last answer (None at first), the next request, or None to stop.
Script = Callable[[int, Answer | None], bytes | None]


class Connection:
    """A keep-alive connection that sends one request at a time."""

    def __init__(self, number: int, address: tuple[str, int]) -> None:
        self.number = number
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parts: list[bytes] = []
        self._wanted = 0
        self._have = 0
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self._parts, self._wanted, self._have = [], 0, 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> Answer | None:
        """What has come, if the answer is whole. Raises `ConnectionError` where the server hangs up."""
        part = self.socket.recv(262_144)
        if not part:
            raise ConnectionError("the server closed the connection")
        self._parts.append(part)
        self._have += len(part)
        if not self._wanted:
            self._wanted = self._length_of_answer()
        if not self._wanted or self._have < self._wanted:
            return None
        whole = part if len(self._parts) == 1 else b"".join(self._parts)
        body = whole[whole.index(b"\r\n\r\n") + 4 :]
        return Answer(int(whole[9:12]), body, time.perf_counter() - self.sent_at)

    def _length_of_answer(self) -> int:
        """The bytes of headers and body together; 0 while the headers have not all come."""
        head = b"".join(self._parts)
        end = head.find(b"\r\n\r\n")
        if end < 0:
            return 0
        head = head[:end].lower()
        start = head.find(b"content-length:")
        length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        return end + 4 + length


def play(address: tuple[str, int], connections: int, script: Script) -> Outcome:
    """Have `connections` clients follow the script until it gives no more requests."""
    selector = selectors.DefaultSelector()
    clients = [Connection(number, address) for number in range(connections)]
    outcome = Outcome()
    open_clients = 0
    start = time.perf_counter()
    for client in clients:
        request = script(client.number, None)
        if request is not None:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send(request)
            open_clients += 1
    while open_clients:
        ready = selector.select(PATIENCE)
        if not ready:
            raise TimeoutError(f"no answer for {PATIENCE:.0f} seconds")
        for key, _events in ready:
            client = key.data
            answer = client.receive()
            if answer is None:
                continue
            outcome.times.append(answer.seconds)
            outcome.statuses[answer.status] += 1
            request = script(client.number, answer)
            if request is None:
                selector.unregister(client.socket)
                open_clients -= 1
            else:
                client.send(request)
    outcome.seconds = time.perf_counter() - start
    for client in clients:
        client.socket.close()
    return outcome


def each_once(requests: Iterator[bytes]) -> Script:
    """A script in which whoever is free takes the next request, until there are none left."""
    return lambda _number, _answer: next(requests, None)


def for_seconds(requests: Iterator[bytes], seconds: float) -> Script:
    """The same, until the time is over."""
    deadline = time.perf_counter() + seconds
    return lambda _number, _answer: next(requests, None) if time.perf_counter() < deadline else None


def message(method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """A whole HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def expect(outcome: Outcome, *statuses: int) -> None:
    """Raise where anything else was answered: a rate of errors is no rate."""
    if not set(outcome.statuses) <= set(statuses):
        raise RuntimeError(f"expected only {statuses}, and got {dict(outcome.statuses)}")
