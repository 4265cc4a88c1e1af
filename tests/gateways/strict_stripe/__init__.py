"""A stand-in for Stripe that keeps Stripe's rules, in a process of its own.

    python -m tests.gateways.strict_stripe --port 12111 --webhook-url http://…/ --webhook-secret whsec_…

It serves what our adapter uses: Checkout Sessions, payment intents, refunds, their lists, and signed
notices. Unlike a mock it refuses: unknown parameters, wrong keys, impossible states and amounts. It
plays the buyer's card at `/pay/<session>`, and its faults are set over `/_control/`; see `server.py`.
"""
