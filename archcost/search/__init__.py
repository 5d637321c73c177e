"""The next point of a study: domains, spaces, and a model of what trials have shown."""
