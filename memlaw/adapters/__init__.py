"""LoRA as PEFT defines it, for many cells at a time."""
