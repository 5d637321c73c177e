"""The command that suggests what could save time, and how that is printed."""
