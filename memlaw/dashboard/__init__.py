"""W&B's workspace, report and charts of a study, as code: `memlaw dashboard push`."""
