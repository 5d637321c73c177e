"""What torch's operators cost: a file for each kind, with a table by their names."""
