"""Mirrors each cell as one run at W&B or in Trackio: the config key `logger`.

The files on disk are the truth. No cell waits for a service or fails with it.
"""
