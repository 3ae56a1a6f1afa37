"""Experiments on the law: from the kept rows of a study to its page, numbers and figure in `docs/experiments/`."""
