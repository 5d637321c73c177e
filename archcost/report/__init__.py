"""HTML made from a profile."""
