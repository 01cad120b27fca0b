"""Importers, one file each. Each defines ``plugin``, an ``Importer``."""
