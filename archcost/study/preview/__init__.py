"""What is known of a study before it runs: its space, its time, and that it can be measured."""
