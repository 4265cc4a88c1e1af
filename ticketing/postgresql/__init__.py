"""Django's PostgreSQL backend, for people who do not wait long: see base.py."""
