"""The version of archcost, as text."""

__version__ = "0.2.0"
