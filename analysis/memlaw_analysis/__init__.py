"""From the records of a study to the law: fit, compare, report. Imports no torch."""
