"""What the application reads from the environment when it runs on its own engines."""

import json
import os
import secrets
import string
from pathlib import Path

from ticketing.local.engines import Engine, Postgres, Valkey, without_libpq
from ticketing.local.paths import LOCAL

# The demonstration's logins, and the variables that choose their passwords.
LOGINS = {
    "admin@example.org": "DEMO_ADMIN_PASSWORD",
    "buyer@example.org": "DEMO_BUYER_PASSWORD",
    "door@example.org": "DEMO_DOOR_PASSWORD",
}


def given() -> dict[str, str]:
    """What this process was started with; an empty value counts as none."""
    return {name: value for name, value in os.environ.items() if value}


def engines_for(directory: Path, environment: dict[str, str], *, throwaway: bool = False) -> list[Engine]:
    """The engines that `environment` does not replace by servers of its own."""
    engines: list[Engine] = []
    if "DATABASE_URL" not in environment:
        engines.append(Postgres(directory / "postgres", throwaway=throwaway))
    if "REDIS_URL" not in environment:
        engines.append(Valkey(directory / "valkey"))
    return engines


def addresses(engines: list[Engine]) -> dict[str, str]:
    """The variables that point the application at `engines`."""
    found = {}
    for engine in engines:
        if isinstance(engine, Postgres):
            found["DATABASE_URL"] = engine.url
        elif isinstance(engine, Valkey):
            found["REDIS_URL"] = engine.url(0)
            found["REDIS_LOCKS_URL"] = engine.url(1)
            found["CELERY_BROKER_URL"] = engine.broker_url(2)
    return found


def for_application(engines: list[Engine], site_url: str) -> dict[str, str]:
    """The environment of a Holdfast that serves this machine alone; what was given comes first."""
    settings = given()
    if any(isinstance(engine, Postgres) for engine in engines):
        settings = without_libpq(settings)
    ours = {
        "SECRET_KEY": kept_secret(LOCAL / "secret-key"),
        "SITE_URL": site_url,
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "SECURE": "0",
        "SANDBOX_GATEWAY": "1",
        "EMAIL_FILE_PATH": str(LOCAL / "mail"),
        "STATIC_ROOT": str(LOCAL / "static"),
    }
    passwords = {LOGINS[address]: password for address, password in demo_logins().items()}
    return ours | addresses(engines) | settings | passwords


def for_tests(engines: list[Engine]) -> dict[str, str]:
    """The environment of a test run, the same on every machine but for the engines' addresses."""
    ours = {"SECRET_KEY": "for tests alone, and so no secret", "SECURE": "0", "SANDBOX_GATEWAY": "1"}
    return ours | addresses(engines) | without_libpq(given())


def kept_secret(path: Path) -> str:
    """The secret in `path`, made the first time and readable by its owner alone."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48))
    return path.read_text()


def demo_logins() -> dict[str, str]:
    """The demonstration's passwords by address: generated once, and the environment's where it names one."""
    path = LOCAL / "demo-logins.json"
    logins: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if not logins.keys() >= LOGINS.keys():
        logins = {address: logins.get(address) or _password() for address in LOGINS}
        write_private(path, json.dumps(logins, indent=2))
    return {address: os.environ.get(LOGINS[address]) or logins[address] for address in LOGINS}


def _password() -> str:
    """Twelve characters that survive being read aloud and typed in again."""
    letters = "".join(sorted(set(string.ascii_lowercase + string.digits) - set("l1o0")))
    return "".join(secrets.choice(letters) for _ in range(12))


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read, all of it or none."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.rename(path)
