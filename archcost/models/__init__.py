"""What a user names becomes a Model, or a Reference to code that is not run here. No torch."""
