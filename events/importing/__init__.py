"""Importing events from files that other programs wrote; docs/importing.md describes them."""
