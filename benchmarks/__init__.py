"""Load on a running Holdfast, and what can be measured of it."""
