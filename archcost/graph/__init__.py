"""A network as a value, and all that follows from its graph alone.

The standard library is enough here.
"""
