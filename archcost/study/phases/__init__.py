"""The phases of a run: the search, and confirming what it found."""
