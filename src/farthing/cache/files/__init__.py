"""Caches of features and of model files on disk, for pipelines of the user's own."""
