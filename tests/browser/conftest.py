"""A real Chromium against a live server. Left out where there is none, but never by CI."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

LONGEST_REQUEST = 15  # Seconds.

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        reason = "The browser tests need Chromium: apt-get install chromium."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright runs an event loop in this thread, which Django takes for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        # Root, as in a container, has no sandbox to give.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def site(live_server: Any, settings: Any) -> Iterator[str]:
    """The live server's address, as the payment page and the mails know it too."""
    settings.SITE_URL = live_server.url
    earlier = set(threading.enumerate())
    yield str(live_server.url)
    wait_for_the_server(live_server.thread, earlier)


@pytest.fixture
def open_page(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """A new browser's page; options as for a Playwright context. Errors on any page fail the test."""
    contexts, errors = [], []

    def opened(**options: Any) -> Page:
        context = browser.new_context(base_url=site, **options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def wait_for_the_server(server: Any, earlier: set[threading.Thread]) -> None:
    """Let requests end whose browser is gone: they would meet the next test's rows, or lock the flush out.

    The server has a thread for each connection, named after what it runs.
    """
    # Connections are taken in turn: when this one is answered, none that came before it still waits.
    with socket.create_connection((server.host, server.port), timeout=LONGEST_REQUEST) as last:
        last.shutdown(socket.SHUT_WR)
        assert last.recv(1) == b""
    for thread in set(threading.enumerate()) - earlier:
        if "process_request_thread" in thread.name:
            thread.join(LONGEST_REQUEST)
            assert not thread.is_alive(), "A request goes on although its browser is gone."
