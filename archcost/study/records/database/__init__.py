"""The database of a study: where it is, how it is opened and locked, who works on what."""
