"""What can be bought, what it can do, at which price, since when."""
