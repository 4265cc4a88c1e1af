"""One sale with a fault in its middle, and what became of it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median

from django.utils import timezone

from bookings.models import Booking, BookingItem, Payment
from events.models import Ticket
from tests.faults.crowd import Crowd
from tests.faults.house import House, Plan, Template
from tests.faults.journal import Journal, Period, Told
from tests.proof.ending import let_the_timetable_finish, money_that_is_wrong, unfinished
from tests.proof.world import let_pass

# No request of anybody, in any fault.
LONGEST_REQUEST = 10.0


@dataclass(frozen=True)
class Pace:
    """How long each part of a sale takes, in seconds; `share` is that of a fault's own length.

    What is timed says nothing in a sale of a few seconds: there it is not judged.
    """

    warming_up: float = 2.0
    before: float = 6.0
    after: float = 6.0
    share: float = 1.0
    is_timed: bool = True


# From the moment the part works again it takes less than `after` until somebody holds tickets again.
USUAL, QUICK = Pace(), Pace(1.0, 2.0, 4.0, share=0.3, is_timed=False)

Check = Callable[["Sale"], str | None]


@dataclass(frozen=True)
class Fault:
    """What is broken: `happens` breaks it above its `yield` and mends it below."""

    name: str
    broken: str
    happens: Callable[[House], Iterator[None]]
    checks: tuple[Check, ...]
    timed: tuple[Check, ...] = ()
    seconds: float = 8.0
    plan: Plan = field(default_factory=Plan)
    # Broken before the first buyer comes, and mended after the last has gone.
    for_the_whole_sale: bool = False
    # Broken while one buyer alone holds tickets, whose requests tell what noticing costs.
    is_noticed_alone: bool = False
    # Why it cannot be shown on this machine; nothing where it can.
    left_out_because: Callable[[], str] = str


@dataclass(frozen=True)
class Noticing:
    """The seconds of each hold of one buyer, with nobody else there: just before, and just after."""

    before: list[float]
    after: list[float]

    @property
    def of_the_first(self) -> float:
        """What the slowest hold paid, beyond what one of before had to: the machine has other work, too."""
        return max(self.after) - max(self.before)

    @property
    def of_the_others(self) -> float:
        return median(self.after) - median(self.before)


@dataclass
class Sale:
    """What was seen of a sale, by the buyers' journal."""

    fault: Fault
    journal: Journal
    before: Period
    during: Period
    after: Period
    whole: Period
    noticing: Noticing | None = None
    sold: int = 0
    findings: list[str] = field(default_factory=list)
    oversold: int = 0
    lost: int = 0

    @property
    def _rates(self) -> str:
        during = f"{self.during.rate:.0f}"
        return during if self.fault.for_the_whole_sale else f"{self.before.rate:.0f} → {during}"

    @property
    def row(self) -> list[str]:
        """The line of the table, without marks."""
        return [
            self.fault.broken,
            f"{len(self.whole.answers):,}",
            f"{self.sold:,}",
            f"{len(self.whole.refused):,}",
            self.whole.errors_in_words(),
            f"{self.whole.slowest:.2f} s",
            f"{self.whole.outage:.1f} s",
            self._rates,
            str(self.oversold),
            str(self.lost),
        ]


HEADINGS = [
    "broken",
    "requests",
    "sold",
    "refused",
    "errors shown",
    "slowest",
    "outage",
    "holds/s",
    "oversold",
    "lost",
]


def play(fault: Fault, template: Template, pace: Pace = USUAL) -> Sale:
    """Raises nothing because of the box office: what is wrong with it is in the findings."""
    with template.open_house(fault.plan) as house:
        sale = _sell(house, fault, pace)
        _judge(house, sale, pace)
    return sale


def _sell(house: House, fault: Fault, pace: Pace) -> Sale:
    journal = Journal()
    happens = contextmanager(fault.happens)(house)
    if fault.for_the_whole_sale:
        with happens, Crowd(house, journal):
            time.sleep(pace.warming_up)
            began = time.monotonic()
            time.sleep(pace.before + pace.share * fault.seconds)
            ended = time.monotonic()
        whole = Period.of(journal.answers, began, ended)
        return Sale(fault, journal, before=whole, during=whole, after=whole, whole=whole)
    with Crowd(house, journal) as crowd, ExitStack() as broken:
        time.sleep(pace.warming_up)
        began = time.monotonic()
        time.sleep(pace.before)
        ready = time.monotonic()
        noticing = None
        if fault.is_noticed_alone:
            noticing = _notice(crowd, lambda: broken.enter_context(happens))
        else:
            broken.enter_context(happens)
        broke = time.monotonic()
        time.sleep(pace.share * fault.seconds)
        mending = time.monotonic()
        broken.close()
        mended = time.monotonic()
        time.sleep(pace.after)
        ended = time.monotonic()
    return Sale(
        fault,
        journal,
        before=Period.of(journal.answers, began, ready),
        during=Period.of(journal.answers, broke, mending),
        after=Period.of(journal.answers, mended, ended),
        whole=Period.of(journal.answers, began, ended),
        noticing=noticing,
    )


def _notice(crowd: Crowd, break_it: Callable[[], None]) -> Noticing:
    with crowd.hushed():
        before = crowd.hold_alone(seed=-1)
        break_it()
        after = crowd.hold_alone(seed=-2)
        # Once more what was held before: who gives it to a second buyer is found out.
        crowd.hold_alone(seed=-1)
    return Noticing(before, after)


def _judge(house: House, sale: Sale, pace: Pace) -> None:
    _let_the_paid_be_booked(sale.journal)
    twice, lost = sale.journal.sold_twice(), list(lost_holds(sale.journal))
    let_the_timetable_finish(120, pause=1)
    left = unfinished()
    sale.sold = BookingItem.objects.filter(booking__status="booked").count()
    # The gateway's books are compared with ours where nothing has changed for a while.
    Payment.objects.update(updated_at=timezone.now() - timedelta(days=1))
    lost += money_that_is_wrong(house) + [f"unfinished: {left}"] * bool(left)
    sale.oversold, sale.lost = len(twice), len(lost)
    sale.findings += twice + lost + audit(house) + list(bad_manners(sale))
    checks = sale.fault.checks + (sale.fault.timed if pace.is_timed else ())
    sale.findings += [said for check in checks if (said := check(sale))]


def _let_the_paid_be_booked(journal: Journal, seconds: float = 20) -> None:
    """By notice, by the buyers' return, or, once two minutes have passed, by the reconciler."""
    paid = [told.id for told in journal.holds.values() if told.is_paid]
    for _ in range(2):
        deadline = time.monotonic() + seconds
        while Booking.objects.filter(pk__in=paid).exclude(status="booked").exists():
            if time.monotonic() > deadline:
                let_pass(150)
                break
            time.sleep(0.2)


def lost_holds(journal: Journal) -> Iterator[str]:
    """A line for each hold that a buyer was told of and is not there, or the other way round."""
    status = {str(pk): status for pk, status in Booking.objects.values_list("pk", "status")}
    items, tickets = defaultdict(set), defaultdict(set)
    for booking, ticket in BookingItem.objects.values_list("booking", "ticket"):
        items[str(booking)].add(ticket)
    for booking, ticket in Ticket.objects.exclude(booking_id=None).values_list("booking_id", "pk"):
        tickets[str(booking)].add(ticket)
    for told in journal.holds.values():
        if wrong := _wrong_with(told, status.get(told.id), items[told.id], tickets[told.id]):
            yield f"{told.id}: {wrong}"
    yield from (f"{asked}: never answered" for asked in journal.unanswered)
    if not journal.unanswered:
        yield from (f"{pk}: nobody was told of it" for pk in status.keys() - journal.holds.keys())


def _wrong_with(told: Told, status: str | None, items: set[int], tickets: set[int]) -> str:
    if status is None or items != told.tickets:
        return f"told of {sorted(told.tickets)}, and there is {status} {sorted(items)}"
    if told.is_released:
        return "" if status == "released" and not tickets else f"given back, and is {status}"
    if told.is_paid and status != "booked":
        return f"paid, and is {status}"
    is_given_up = told.until < float("inf")
    if not is_given_up and (status not in {"reserved", "booked"} or tickets != told.tickets):
        return f"held, and is {status} with {sorted(tickets)}"
    return ""


def audit(house: House) -> list[str]:
    """What `manage.py audit` says of the box office and of its gateway's books: nothing, if all is well."""
    done = house.manage("audit", "--gateway")
    said = done.stdout.splitlines()
    return said + ([f"audit ended with {done.returncode}: {done.stderr[-500:]}"] * (done.returncode > 1))


def bad_manners(sale: Sale) -> Iterator[str]:
    """What no fault excuses."""
    broken = Counter(f"{answer.what} {answer.status}" for answer in sale.whole.errors)
    yield from (f"{count} × {name}" for name, count in broken.items() if name.endswith(" 500"))
    if sale.whole.slowest > LONGEST_REQUEST:
        yield f"a request took {sale.whole.slowest:.1f} s"
    if not any(answer.ended > sale.after.ended - 1 for answer in sale.after.held):
        yield "nobody holds tickets any more"
