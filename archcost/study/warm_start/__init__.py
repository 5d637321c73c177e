"""What a study begins with: known networks first, and trials of an earlier study."""
