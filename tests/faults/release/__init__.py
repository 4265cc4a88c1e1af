"""An app of a release to come, which adds a column and an index to the tickets."""
