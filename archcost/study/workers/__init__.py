"""The processes that do a study's work, and the messages that cross to them and back."""
