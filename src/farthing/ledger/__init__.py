"""What happened: append-only facts on Delta, and questions about them."""
