"""Cells on disk: identity, files, status, liveness, records and conditions. Imports no torch."""
