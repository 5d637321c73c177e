"""What a study keeps: its storage, trials, front and weights. Read here without torch, so that a report may."""
