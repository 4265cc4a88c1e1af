"""HTTP to Stripe within a budget: whatever the network does, a call ends in time.

The library's own time-outs start again with every byte, so that a server that drips could hold a
buyer's request for hours; and it waits 80 seconds for one that is silent. Here every step of a call
(looking up the name, connecting, each read, each retry) gets no more than what is left.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from socket import SOCK_STREAM, getaddrinfo
from typing import Any

import httpcore
import httpx
import stripe
from httpcore import SOCKET_OPTION

from bookings.gateways import GatewayError

# One call of the gateway, however many requests and retries it takes.
BUDGET_SECONDS = 4.0
CONNECT_SECONDS = 1.0
# Before the second, third and fourth try of one request.
PAUSES = (0.1, 0.3, 0.6)
# A crowd at a gateway that hangs must leave threads for those who only look at events.
CONCURRENT_CALLS = 4
QUEUE_SECONDS = 0.5

_slots = threading.BoundedSemaphore(CONCURRENT_CALLS)
_deadline: ContextVar[float] = ContextVar("deadline")


@contextmanager
def within_budget() -> Iterator[None]:
    """Whatever is asked of Stripe inside ends before the budget does.

    Raises `GatewayError` at once, or nearly, where too many others are asking.
    """
    token = _deadline.set(time.monotonic() + BUDGET_SECONDS)
    try:
        if not _slots.acquire(timeout=QUEUE_SECONDS):
            raise GatewayError("too many are asking the gateway at once")
        try:
            yield
        finally:
            _slots.release()
    finally:
        _deadline.reset(token)


def time_left() -> float:
    return _deadline.get() - time.monotonic()


def is_kept(headers: Mapping[str, str]) -> bool:
    """Whether an answer is that to an earlier request with the same idempotency key."""
    told = {name.lower(): value for name, value in headers.items()}
    return told.get("idempotent-replayed") == "true"


class BudgetedClient(stripe.HTTPClient):
    """What the library sends its requests with; it retries under one key while the budget lasts."""

    name = "httpx"

    def __init__(self) -> None:
        super().__init__()
        timeout = httpx.Timeout(BUDGET_SECONDS, connect=CONNECT_SECONDS)
        context = ssl.create_default_context(cafile=stripe.ca_bundle_path)
        self._http = httpx.Client(transport=_Transport(context), timeout=timeout)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        try:
            answer = self._http.request(method, url, headers=headers, content=post_data)
        except httpx.HTTPError as error:
            raise stripe.APIConnectionError(repr(error)) from error  # type: ignore[no-untyped-call]
        return answer.content, answer.status_code, answer.headers

    def close(self) -> None:
        self._http.close()

    def request_with_retries(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        max_network_retries: int | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Raises `stripe.APIConnectionError` where no try was answered."""
        for pause in PAUSES:
            try:
                answer = self.request(method, url, headers, post_data)
            except stripe.APIConnectionError:
                if pause >= time_left():
                    raise
            else:
                # Stripe keeps an answer for its key, failures too: asking again would change nothing.
                is_final = is_kept(answer[2]) or not self._should_retry(answer, None, 0, 1)
                if is_final or pause >= time_left():
                    return answer
            time.sleep(pause)
        return self.request(method, url, headers, post_data)


class _Transport(httpx.HTTPTransport):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context)
        self._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=_Backend())


class _Backend(httpcore.SyncBackend):
    """Connects within what is left of the budget, also where looking up the name hangs."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in _look_up(host, port, _capped(timeout)):
            try:
                return _Stream(
                    super().connect_tcp(address, port, _capped(timeout), local_address, socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection on which no step takes longer than what is left of the budget."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _capped(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _capped(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _capped(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _capped(timeout: float | None) -> float:
    left = time_left()
    if left <= 0:
        raise httpcore.TimeoutException("the budget of the call is spent")
    return left if timeout is None else min(timeout, left)


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name. The resolver knows no time-out, so that it is asked in a thread."""
    answer: Future[list[str]] = Future()

    def ask() -> None:
        try:
            found = getaddrinfo(host, port, type=SOCK_STREAM)
        except OSError as error:
            answer.set_exception(httpcore.ConnectError(str(error)))
        else:
            answer.set_result([str(address[0]) for *_, address in found])

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"no address for {host} in time") from None
