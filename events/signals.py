"""What happened to events, for apps that this one does not know.

Sent in the transaction of the change: what a receiver writes stands or falls with it.
"""

from __future__ import annotations

from django.dispatch import Signal

# An event was saved with another time or place. Arguments: `event` as it is now, `before` as it was.
event_moved = Signal()
