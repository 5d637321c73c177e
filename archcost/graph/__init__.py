"""A network as a value: its graph, and all that follows from a graph alone. The standard library is enough here."""
