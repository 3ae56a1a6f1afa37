"""W&B's workspace, report and charts of a study, as code: `python -m memlaw.dashboard push`."""
