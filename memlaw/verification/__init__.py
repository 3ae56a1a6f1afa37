"""Judge whether an adapter recalls given texts, whoever trained it, and why not."""
