"""A network is trained: a fit begins, its epochs run, it is scored and kept in a file."""
