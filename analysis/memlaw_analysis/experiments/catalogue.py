"""The experiments, in the order of the index."""

from memlaw_analysis.experiments.capacity import CAPACITY
from memlaw_analysis.experiments.convergence import CONVERGENCE
from memlaw_analysis.experiments.horizon import HORIZON
from memlaw_analysis.experiments.length import LENGTH
from memlaw_analysis.experiments.pairs import PAIRS
from memlaw_analysis.experiments.placement import PLACEMENT

EXPERIMENTS = (LENGTH, HORIZON, PLACEMENT, PAIRS, CONVERGENCE, CAPACITY)
