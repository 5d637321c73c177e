"""The version of archcost, as text."""

__version__ = "0.4.0"
