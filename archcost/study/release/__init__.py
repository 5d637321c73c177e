"""What leaves a study: the weights that are kept, and networks with them in files."""
