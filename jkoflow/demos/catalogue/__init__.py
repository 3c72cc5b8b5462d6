"""The experiments, one module for each: it defines ``DEMO``, and ``run`` that does the work."""
