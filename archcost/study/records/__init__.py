"""What a study keeps: storage, trials, front, weights; read without torch, for reports."""
