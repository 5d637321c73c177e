"""What a torch module costs, operator by operator; and the witnesses of every count."""
