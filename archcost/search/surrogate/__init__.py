"""What the trials of a study teach of points that are not tried yet."""
