"""Showing: figures, and an HTML page that needs no network."""
