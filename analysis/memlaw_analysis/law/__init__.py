"""Forms of the law, their fits and uncertainty, rivals and capacity."""
