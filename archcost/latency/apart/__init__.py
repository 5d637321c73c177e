"""Networks that run in processes of their own: the child that runs one, and the parent that asks it."""
