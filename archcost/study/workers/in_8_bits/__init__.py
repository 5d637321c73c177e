"""Trained networks in 8 bits, as a child process makes, scores and measures them."""
