"""A study's report: its facts, and a section for each question that is asked of it."""
