"""Metrics under test: heatmaps of known quality show which metrics tell better ones from worse."""
