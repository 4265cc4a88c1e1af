"""The rehearsal of an on-sale against a running Holdfast, from outside, over HTTP: `make rush`."""
