"""memlaw: measure how much a LoRA adapter can memorize verbatim."""

__version__ = "0.1.0"
