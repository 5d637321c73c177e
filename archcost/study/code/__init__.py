"""Code of the user's own in studies: what a study names, consent to run it, its files, and what it answers."""
