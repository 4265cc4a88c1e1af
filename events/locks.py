"""The locks of held tickets, in the cache: for speed and freshness, never for truth.

One hash per event, `locks:1:{event_id}`, one field per held ticket, its value the booking's
id, each field with its own time to live. `HSETEX … FNX` takes all or none in one command
(Valkey 9, Redis 8; https://valkey.io/commands/hsetex/).

No function here raises because of the cache. When it is away, `take` and `take_first` answer `UNKNOWN`,
`locked_fields` and `last_change` answer None and the others answer nothing; the caller then asks the
database alone.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from redis import Redis

from events.breaker import CircuitBreaker
from events.raw_clients import raw_client

Answer = TypeVar("Answer")

# A process that dies between the lock and the commit blocks a seat for this long.
LEASE_SECONDS = 5
# For so long it is remembered that something changed. Nobody keeps a picture for as long.
CHANGE_SECONDS = 60

# Deletes only the fields that still hold the booking's id, so that nobody gives back
# the lock of another; and says that something changed.
RELEASE_SCRIPT = """
local released = 0
for i = 4, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[1] then
    released = released + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return released
"""


# Takes all fields of the first choice of which none is there; answers the choice's number, or 0. The
# choices all have as many fields.
TAKE_FIRST_SCRIPT = """
local size = tonumber(ARGV[3])
for start = 4, #ARGV, size do
  local command = {'HSETEX', KEYS[1], 'FNX', 'EX', ARGV[2], 'FIELDS', size}
  for i = start, start + size - 1 do
    table.insert(command, ARGV[i])
    table.insert(command, ARGV[1])
  end
  if redis.call(unpack(command)) == 1 then
    return (start - 4) / size + 1
  end
end
return 0
"""


class LockResult(enum.Enum):
    GOT = "got"
    TAKEN = "taken"
    UNKNOWN = "unknown"


breaker = CircuitBreaker("The lock cache", "holds go through the database alone")


def lock_key(event_id: int) -> str:
    """The one place that names the key; the 1 is the layout's version."""
    return f"locks:1:{{{event_id}}}"


def change_key(event_id: int) -> str:
    """Where it says when the event's tickets were last held or given back; beside its locks."""
    return f"changed:1:{{{event_id}}}"


def take(event_id: int, ticket_ids: Sequence[int], booking_id: UUID) -> LockResult:
    """Take the locks of all tickets for the lease, or none of them."""
    answer = _set(event_id, ticket_ids, booking_id, "FNX", "EX", LEASE_SECONDS)
    if answer is None:
        return LockResult.UNKNOWN
    return LockResult.GOT if answer == 1 else LockResult.TAKEN


def take_first(event_id: int, choices: Sequence[Sequence[int]], booking_id: UUID) -> tuple[LockResult, int]:
    """Take the locks of all tickets of one choice for the lease: of the first that is wholly free.

    Each choice has as many tickets. The number is how many choices before it were not free: all where none
    is, and 0 where the cache does not say; it may then have taken one of them all the same, for the lease.
    """
    fields = [ticket_id for choice in choices for ticket_id in choice]
    answer = ask(
        lambda client: client.eval(
            TAKE_FIRST_SCRIPT,
            1,
            lock_key(event_id),
            str(booking_id),
            LEASE_SECONDS,
            len(choices[0]),
            *fields,
        )
    )
    if answer is None:
        return LockResult.UNKNOWN, 0
    return (LockResult.GOT, answer - 1) if answer else (LockResult.TAKEN, len(choices))


def keep(event_id: int, ticket_ids: Sequence[int], booking_id: UUID, *, milliseconds: int) -> None:
    """Hold the locks for what is left of the reservation. Only after the row is committed as ours."""
    if milliseconds <= 0 or not ticket_ids:
        return
    command = _hsetex(event_id, ticket_ids, booking_id, "PX", milliseconds)

    def keep_and_tell(client: Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        pipeline.set(change_key(event_id), _new_name(), ex=CHANGE_SECONDS)
        pipeline.execute()

    ask(keep_and_tell)


def release(event_id: int, ticket_ids: Sequence[int], booking_id: UUID) -> None:
    """Give back the locks that this booking owns, and no others."""
    if not ticket_ids:
        return
    keys = (lock_key(event_id), change_key(event_id))
    ask(
        lambda client: client.eval(
            RELEASE_SCRIPT, 2, *keys, str(booking_id), _new_name(), CHANGE_SECONDS, *ticket_ids
        )
    )


def last_change(event_id: int) -> bytes | None:
    """A name for the last time that tickets of the event were held or given back, new each time.

    None when that was long ago, or the cache does not say.
    """
    return cast("bytes | None", ask(lambda client: client.get(change_key(event_id))))


def locked_fields(event_id: int) -> list[bytes] | None:
    """The ids of the event's locked tickets, in decimal digits; None when the cache does not say.

    As it has them: of tens of thousands, making numbers takes longer than all that is done with them.
    """
    return cast("list[bytes] | None", ask(lambda client: client.hkeys(lock_key(event_id))))


def locked_among(event_id: int, ticket_ids: Sequence[int]) -> frozenset[int]:
    """Those of the tickets that are locked; none when the cache does not say.

    Asks for no more than these: an event may have tens of thousands of locks.
    """
    if not ticket_ids:
        return frozenset()
    values = ask(lambda client: client.hmget(lock_key(event_id), [str(pk) for pk in ticket_ids])) or []
    return frozenset(pk for pk, value in zip(ticket_ids, values, strict=False) if value is not None)


def owners(event_id: int) -> dict[int, UUID]:
    """Which booking holds each of the event's locks; empty when the cache does not say."""
    held = ask(lambda client: client.hgetall(lock_key(event_id))) or {}
    return {int(field): UUID(cast("bytes", value).decode()) for field, value in held.items()}


def events_with_locks() -> list[int]:
    """The events that have any lock; empty when the cache does not say."""
    keys = ask(lambda client: list(client.scan_iter(match="locks:1:*", count=1000))) or []
    # Raw, as the alias decodes nothing.
    return [int(cast("bytes", key).rpartition(b":")[2].strip(b"{}")) for key in keys]


def kept_beyond_lease(event_id: int, ticket_ids: Sequence[int]) -> set[int]:
    """Those of the tickets whose lock lives longer than a lease, so that it was once committed."""
    if not ticket_ids:
        return set()
    lives = ask(
        lambda client: _command(client, "HPTTL", lock_key(event_id), "FIELDS", len(ticket_ids), *ticket_ids)
    )
    return {
        ticket_id
        for ticket_id, milliseconds in zip(ticket_ids, lives or [], strict=False)
        if milliseconds > LEASE_SECONDS * 1000
    }


def _set(event_id: int, ticket_ids: Sequence[int], booking_id: UUID, *options: str | int) -> int | None:
    """Write the locks in one command: 1 if all were written, 0 if none, None if unknown."""
    command = _hsetex(event_id, ticket_ids, booking_id, *options)
    return ask(lambda client: _command(client, *command))


def _hsetex(
    event_id: int, ticket_ids: Sequence[int], booking_id: UUID, *options: str | int
) -> list[str | int]:
    fields = [part for ticket_id in ticket_ids for part in (ticket_id, str(booking_id))]
    return ["HSETEX", lock_key(event_id), *options, "FIELDS", len(ticket_ids), *fields]


def _new_name() -> str:
    """One that no change had before, also not one before the cache was flushed."""
    return secrets.token_hex(8)


def _command(client: Redis, *parts: str | int) -> Any:
    """Send a command for which the client has no method of its own in every version we allow."""
    return client.execute_command(*parts)  # type: ignore[no-untyped-call]


def ask(call: Callable[[Redis], Answer]) -> Answer | None:
    """Run `call` on the raw client; None when the breaker is open or the cache fails."""
    return breaker.call(lambda: call(raw_client("locks")), lambda: None)
