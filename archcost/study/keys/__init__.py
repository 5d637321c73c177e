"""The parts of study.yaml: their keys, with the rules of each part alone."""
