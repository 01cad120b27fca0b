"""Foreign bills and logs become facts.

One importer is one file in ``importers``; ``run`` does the rest for all of them.
"""
