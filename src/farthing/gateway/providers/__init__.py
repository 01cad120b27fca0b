"""Provider dialects, one file each; vendors that speak one of them are rows of data."""
