"""The predictor: what a network will take, from its operators, without running it."""
