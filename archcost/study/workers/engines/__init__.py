"""Engines: what starts the workers of a study, on this machine or on others."""
