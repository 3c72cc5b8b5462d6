"""Parts of the demo ``anisotropic``: its settings and runs, its gaps, its figure."""
