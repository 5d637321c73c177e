"""Raw seconds on a target, by a runtime, and all that follows from them: statistics, doubts, ratios."""
