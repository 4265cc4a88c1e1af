"""The demonstration's logins, and what its buyer has booked."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Permission
from django.db import transaction

from bookings.demo.sales import sell_to
from bookings.models import User
from events.models import Event

ADMIN = "admin@example.org"
BUYER = "buyer@example.org"
DOOR = "door@example.org"
# How many tickets the buyer has of the next events, the nearest first.
PURCHASES = (2, 4, 1)


@dataclass(frozen=True)
class Login:
    """An account; `password` is set only where it was made up here, and can be read nowhere else."""

    email: str
    password: str = ""


def ensure_logins() -> list[Login]:
    """Make the accounts that are not there, and give them the passwords of the environment."""
    logins = [
        ensure_login(ADMIN, "DEMO_ADMIN_PASSWORD", is_staff=True, is_superuser=True),
        ensure_login(BUYER, "DEMO_BUYER_PASSWORD", first_name="Robin", last_name="Buyer"),
        ensure_login(DOOR, "DEMO_DOOR_PASSWORD", first_name="Dana", last_name="Door"),
    ]
    # All that door staff need, and all they have.
    check_in = Permission.objects.get(codename="check_in", content_type__app_label="door")
    User.objects.get(email=DOOR).user_permissions.add(check_in)
    return logins


def ensure_login(email: str, variable: str, **fields: str | bool) -> Login:
    wanted = os.environ.get(variable, "")
    made_up = ""
    with transaction.atomic():
        user = User.objects.filter(email=email).first()
        if user is None:
            made_up = "" if wanted else secrets.token_urlsafe(12)
            user = User.objects.create_user(email, wanted or made_up, **fields)
        elif wanted and not user.check_password(wanted):
            user.set_password(wanted)
            user.save(update_fields=["password"])
        EmailAddress.objects.get_or_create(
            user=user, email=email, defaults={"verified": True, "primary": True}
        )
    return Login(email, made_up)


def ensure_purchases() -> int:
    """Give a buyer without bookings a few, one of them for an event soon; says how many."""
    buyer = User.objects.get(email=BUYER)
    if buyer.bookings.exists():
        return 0
    wanted = list(PURCHASES)
    soon = Event.objects.filter(source_key__startswith="demo:", status=Event.Status.PUBLISHED).upcoming()
    # Every seventh, so that they are weeks apart and in different houses.
    for event in soon.with_sale_facts().order_by("starts_at")[: 7 * 12 : 7]:
        if not wanted or not event.is_on_sale:
            continue
        with transaction.atomic():
            if sell_to(buyer, event, wanted[0]):
                wanted.pop(0)
    return len(PURCHASES) - len(wanted)
