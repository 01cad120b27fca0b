"""Composition root: one file per kind of process."""
