"""Dialects: one public module per wire language of providers, each with a ``plugin``.

Vendors that speak a known dialect are rows of data in ``gateway.vendors``.
"""
