"""Raw seconds on a target, by a runtime, and what follows: statistics, doubts, ratios."""
