"""Whole experiments behind one command: computed, drawn, judged."""
