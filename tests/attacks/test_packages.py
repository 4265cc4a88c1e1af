"""Pinned packages are at least as new as the last hole that concerns us."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

# CVE-2025-64459 and CVE-2025-57833, and what has been mended since.
FLOORS = {"django": (5, 2, 19), "djangorestframework": (3, 18), "nh3": (0, 3)}


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_pinned_version_is_not_below_its_floor(name: str):
    pinned = re.search(rf"^{name}==([\d.]+)", (settings.BASE_DIR / "requirements.txt").read_text(), re.M)

    assert pinned is not None
    assert tuple(map(int, pinned[1].split("."))) >= FLOORS[name]


def test_every_pinned_package_has_its_hash():
    lines = (settings.BASE_DIR / "requirements.txt").read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[\w.-]+==", line)]

    assert len(pinned) > 20
    assert all(line.endswith("\\") for line in pinned)
