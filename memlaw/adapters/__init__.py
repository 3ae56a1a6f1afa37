"""LoRA as PEFT means it, for many cells at a time."""
