"""Celery's way into the services. Each task is safe to run twice, at once, or never."""

from __future__ import annotations

from celery import shared_task

from bookings import cancellations, notices, payments, reconciling, refunds, services


@shared_task(name="bookings.sweep_expired_holds")
def sweep_expired_holds() -> None:
    services.sweep_expired_holds()


@shared_task(name="bookings.apply_notices")
def apply_notices() -> None:
    notices.apply_notices()


@shared_task(name="bookings.finish_payments")
def finish_payments() -> None:
    payments.finish_payments()


@shared_task(name="bookings.reconcile_payments")
def reconcile_payments() -> None:
    payments.reconcile_payments()


@shared_task(name="bookings.finish_refunds")
def finish_refunds() -> None:
    refunds.finish_refunds()


@shared_task(name="bookings.reconcile_with_gateways")
def reconcile_with_gateways() -> None:
    reconciling.reconcile_with_gateways()


@shared_task(name="bookings.run_cancellations")
def run_cancellations() -> None:
    cancellations.run_cancellations()
