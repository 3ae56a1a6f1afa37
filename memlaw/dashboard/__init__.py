"""Makes W&B's workspace, report and charts of a study: `memlaw dashboard push`."""
