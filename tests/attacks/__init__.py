"""What somebody who means harm sends, and what the site must answer. `docs/security.md` points here."""
