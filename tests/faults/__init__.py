"""Real load while real parts break; docs/reliability.md says what is shown and how to repeat it."""
