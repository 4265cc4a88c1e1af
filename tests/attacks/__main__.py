"""`make attack`: the attacks with more examples than `make test` has time for, and the advisories."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

REQUIREMENTS = "requirements.txt"
EXAMPLES = "25"


def attack(arguments: list[str]) -> int:
    """Run tests/attacks, or what the arguments name; returns pytest's exit code."""
    os.environ["EXAMPLES"] = os.environ.get("EXAMPLES") or EXAMPLES
    return int(pytest.main(["--quiet", "--show-capture=no", "-n", "2", *(arguments or ["tests/attacks"])]))


def audit() -> tuple[str, bool]:
    """What the advisory service knows of our pinned packages, in a line; and whether there is no hole.

    A package that the service says nothing about is not called clean: it was not audited.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", REQUIREMENTS, "--require-hashes"]
    command += ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return "pip-audit: the advisory service was not reached; nothing was audited.", True
    audited = [package for package in packages if "vulns" in package]
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}"
        for package in audited
        for hole in package["vulns"]
    ]
    if not audited:
        return (
            f"pip-audit: the advisory service knows none of {len(packages)} packages; nothing was audited.",
            True,
        )
    told = f"pip-audit: {len(audited)} of {len(packages)} packages audited, "
    return told + (", ".join(holes) if holes else "no known hole."), not holes


def main() -> int:
    failed = attack(sys.argv[1:])
    told, is_clean = audit()
    outcome = "no attack got through" if not failed else "SOMETHING GOT THROUGH, see above"
    print(f"\nAttacks, {os.environ['EXAMPLES']} examples for each call: {outcome}.\n{told}")
    return 1 if failed or not is_clean else 0


if __name__ == "__main__":
    sys.exit(main())
