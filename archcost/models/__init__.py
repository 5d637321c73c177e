"""From what a user names to a Model, or to a Reference to code that is not run.

No torch here.
"""
