"""What would run, known before any weight is loaded: packs, memory of the machine, time and checks."""
