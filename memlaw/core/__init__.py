"""What every other package may use: errors, files, paths and seeds."""
