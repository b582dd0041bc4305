"""From scores to claims: simultaneous tests, the best set, power, effects and ranks.

Every procedure works on a table of records, without a study, a model or TensorFlow.
"""

from gradcam_eval.statistics.design import Design
from gradcam_eval.statistics.tables import best_set, compare_all

__all__ = ["Design", "best_set", "compare_all"]
