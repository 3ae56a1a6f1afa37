"""Commands of the analysis: parse, call, print."""
