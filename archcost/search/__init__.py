"""Which point is next: domains and spaces, what is known of points, and the search by Optuna's ask and tell."""
