"""What is known of a study before it runs: its space, its time, and whether its ways can be measured."""
