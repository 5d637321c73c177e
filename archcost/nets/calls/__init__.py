"""What a call of a module is given, needs and may set."""
