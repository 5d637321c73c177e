"""Layers of a network one by one: what each takes, and sparse ones beside dense ones."""
