"""Between a program and a server's Unix socket: passes everything on, and after SIGUSR1 two seconds late.

SIGUSR2 makes it quick again. `python -m tests.faults.middleman PORT SOCKET`
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

LATE = 2.0


class Middleman:
    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.delay = 0.0

    def set_delay(self, seconds: float) -> None:
        self.delay = seconds

    async def serve(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.set_delay, LATE)
        loop.add_signal_handler(signal.SIGUSR2, self.set_delay, 0.0)
        async with await asyncio.start_server(self.connect, "127.0.0.1", port) as server:
            await server.serve_forever()

    async def connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self.socket)
        # Only answers are late: what was asked for is done at once, as in a server that is overloaded.
        await asyncio.gather(self.carry(client, to_server), self.carry(server, to_client, is_answer=True))

    async def carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        with contextlib.suppress(OSError), contextlib.closing(target):
            while data := await source.read(65536):
                if is_answer and self.delay:
                    await asyncio.sleep(self.delay)
                target.write(data)
                await target.drain()


if __name__ == "__main__":
    asyncio.run(Middleman(sys.argv[2]).serve(int(sys.argv[1])))
