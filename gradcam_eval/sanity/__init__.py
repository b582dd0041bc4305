"""Sanity checks: does a heatmap depend on what the model learned, on the class, on the input?"""
