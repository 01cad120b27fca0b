"""Simulated providers, traffic and a bill: the whole product running with no account."""
