"""W&B, or Trackio on machines without an account: one run per cell, also inside a pack.

Everything on disk is the truth and a service mirrors it.
"""
