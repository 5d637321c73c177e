"""A network is trained: a fit begins, its epochs run, it is scored, and what it learnt is kept in a file."""
