"""Latencies without measuring: what a device is calibrated with, and what is then predicted."""
