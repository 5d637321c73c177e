"""The predictor: what a network will take on a device, from its operators, without running it."""
