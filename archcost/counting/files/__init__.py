"""What a model file costs, counted from the file itself without running what it holds."""
