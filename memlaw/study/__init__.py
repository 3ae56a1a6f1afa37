"""Cells on disk: identity, files, status, liveness, records and conditions. No module here imports torch."""
