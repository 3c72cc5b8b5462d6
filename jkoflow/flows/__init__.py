"""Running: the loop, what is kept of it, and what watches it."""
