"""Check cells and plan packs with their RAM and time, before any weight is loaded."""
