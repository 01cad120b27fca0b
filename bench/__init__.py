"""Benchmarks against peers and limits: ``python -m bench.NAME [--quick]``."""
