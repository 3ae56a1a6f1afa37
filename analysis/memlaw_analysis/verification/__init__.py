"""The page of a verification: verdicts, pairs and texts of adapters on someone's own data."""
