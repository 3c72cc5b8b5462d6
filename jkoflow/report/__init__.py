"""Showing: figures, an HTML page that needs no network, and a few lines of text."""
