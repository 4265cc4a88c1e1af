"""Who may stand at a door."""

from __future__ import annotations

from typing import TypeGuard

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from bookings.models import User

CHECK_IN = "door.check_in"


def may_check_in(account: AbstractBaseUser | AnonymousUser) -> TypeGuard[User]:
    """Staff of the door need this one permission, and no other."""
    return isinstance(account, User) and account.has_perm(CHECK_IN)
