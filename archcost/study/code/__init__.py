"""Code of the user's own in studies: consent to run it, its files, and what it answers."""
