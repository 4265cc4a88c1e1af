"""Sending what is due."""

from __future__ import annotations


def send_mails() -> int:
    """Send the mails that are due; returns how many went out."""
    return 0
