"""A template read backwards: the point of a plain tree."""
