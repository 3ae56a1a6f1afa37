"""Show a study on the terminal."""
