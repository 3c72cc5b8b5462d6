"""Keeping runs on disk: what is written (`format`), and who writes it (`directory`).

Nothing is imported here, so that the judge can read `jkoflow.store.format` alone.
"""
