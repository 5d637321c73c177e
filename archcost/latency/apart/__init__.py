"""Networks in processes of their own: the child that runs one, the parent that asks it."""
