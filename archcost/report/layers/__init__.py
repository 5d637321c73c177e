"""Times of layers in a report: read, switched between, and a section for each way."""
