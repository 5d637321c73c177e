"""The command that compares networks: what it measures, and how that is printed."""
