"""The time of each layer, so that layers, dispatch and what is left add up to the whole."""
