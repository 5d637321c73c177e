"""What a network could save: single changes, and operators far below their roof."""
