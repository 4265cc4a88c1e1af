"""The limit that holds are measured against: PostgreSQL alone, making the same writes, by pgbench."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bookings.reserving import HOLD_CERTAIN_TICKETS
from ticketing.local.engines import binary

# The answer that is kept under a request's key, in the transaction of the hold.
KEEP_ANSWER = """
), kept AS (
    INSERT INTO bookings_idempotencykey (caller, key, fingerprint, status_code, body, created_at)
    SELECT 'pgbench', booking.id::text, md5(booking.id::text), 201,
        jsonb_build_object('id', booking.id, 'tickets', repeat('x', 600)), now()
    FROM booking
)
SELECT (SELECT most FROM exceeded)"""
VALUES = {
    # Nothing is counted of the buyer: the writes alone are the limit.
    "%(limit_kinds)s": "'{}'",
    "%(limit_names)s": "'{}'",
    "%(limit_sizes)s": "'{}'",
    "%(besides)s": "NULL",
    "%(tickets)s": "ARRAY[:first, :second]",
    "%(tier)s": "NULL",
    "%(event)s": ":event",
    "%(quantity)s": "2",
    "%(seconds)s": "600",
    "%(id)s": "gen_random_uuid()",
    # Without digits, of which those of `bulk.py` are made.
    "%(reference)s": "translate(substr(md5(random()::text), 1, 8), '0123456789abcdef', 'GHJKMNPQRSTVWXYZ')",
    "%(account)s": ":account",
    "%(email)s": "'buyer' || :account || '@example.org'",
    "%(token_hash)s": "md5(random()::text)",
    "%(address)s": "NULL",
}


def same_writes() -> str:
    """A pgbench script of the hold's own statement and its key's row.

    Each transaction has seats and an account of its own, as each buyer has.
    """
    statement = HOLD_CERTAIN_TICKETS.replace("\n)\nSELECT (SELECT most FROM exceeded)", KEEP_ANSWER)
    for name, value in VALUES.items():
        statement = statement.replace(name, value)
    own = [
        r"\set turn :turn + 1",
        r"\set first :base + 2 * (:client_id * :each + :turn)",
        r"\set second :first + 1",
        r"\set account :accounts + :client_id * :each + :turn",
    ]
    return "\n".join([*own, statement.strip() + ";\n"])


def transactions_per_second(
    folder: Path, *, event: int, first_ticket: int, first_account: int, clients: int, each: int
) -> float:
    """What pgbench reports, with prepared statements.

    Uses `2 * clients * each` tickets and `clients * each` accounts from the first on.
    """
    script = folder / "hold.sql"
    script.write_text(same_writes())
    variables = {"turn": -1, "base": first_ticket, "accounts": first_account, "each": each, "event": event}
    command = [str(binary("pgbench")), "--no-vacuum", "--protocol=prepared", f"--file={script}"]
    command += [f"--client={clients}", "--jobs=2", f"--transactions={each}"]
    command += [f"--define={name}={value}" for name, value in variables.items()]
    done = subprocess.run(  # noqa: S603  # PostgreSQL's own program.
        [*command, os.environ["DATABASE_URL"]], capture_output=True, text=True, check=True
    )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None:
        raise RuntimeError(f"pgbench said no rate: {done.stdout}")
    return float(found[1])
