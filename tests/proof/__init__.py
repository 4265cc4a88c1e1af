"""Proof that every payment ends as tickets or as money back; docs/proof.md says how to repeat it."""
