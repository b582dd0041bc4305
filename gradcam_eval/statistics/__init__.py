"""From scores to claims: simultaneous tests, the best set, power, effects and ranks.

Every procedure works on a table of records, without a study, a model or TensorFlow.
"""
