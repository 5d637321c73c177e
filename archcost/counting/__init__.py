"""What a torch module costs, operator by operator, seen while it runs; and the witnesses that check every count."""
