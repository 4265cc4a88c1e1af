"""A season of events that never happened, for demonstrations and for trying things out."""
