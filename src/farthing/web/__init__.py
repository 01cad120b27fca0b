"""The control plane: typed API and the built dashboard. Asks for what it needs by Protocol."""
