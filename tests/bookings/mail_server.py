"""A mail server of our own on a free port: it takes mails, or does with them what a test wants."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

ENDS_IN_TIME = 10


class MailServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.taken: list[tuple[str, EmailMessage]] = []
        # What is answered instead of "250 OK": by recipient, and to every mail's content.
        self.recipients: dict[str, str] = {}
        self.content = "250 OK"
        self.senders = "250 OK"
        self.connections = 0
        # Set, it says nothing more, and keeps the connection.
        self.is_hanging = False
        self.let_go = threading.Event()
        # Set, each mail's taking is announced, and waits.
        self.has_content = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.server.connections += 1
        self.recipient = ""
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            if not self.obey(line):
                return

    def obey(self, line: str) -> bool:
        command = line[:4].upper()
        if self.server.is_hanging:
            self.server.let_go.wait(timeout=ENDS_IN_TIME)
            return False
        if command == "QUIT":
            self.say("221 bye")
            return False
        if command == "MAIL":
            self.say(self.server.senders)
        elif command == "RCPT":
            self.recipient = line.partition("<")[2].partition(">")[0]
            self.say(self.server.recipients.get(self.recipient, "250 OK"))
        elif command == "DATA":
            self.take()
        else:
            self.say("250 OK")
        return True

    def take(self) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self.server.has_content.set()
        self.server.may_answer.wait(timeout=ENDS_IN_TIME)
        if self.server.content.startswith("2"):
            message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.server.taken.append((self.recipient, message))
        self.say(self.server.content)

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.let_go.set()
            server.shutdown()
            thread.join()
