"""Metrics on trial: heatmaps of known quality show which of them can tell good from bad."""
