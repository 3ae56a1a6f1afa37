"""What the terminal shows of a study."""
