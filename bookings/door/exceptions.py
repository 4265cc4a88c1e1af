"""What the door says when it must refuse."""

from __future__ import annotations

from bookings.exceptions import BoxOfficeError


class NotAdmitted(BoxOfficeError):
    """There is nothing to undo: this scan let nobody in."""

    code = "not_admitted"
