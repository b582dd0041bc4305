"""Readers of data sets in the formats of the field: files and formats to entries, no pixels."""
