"""The version of archcost, as text: read here by the package, its build and all that names it."""

__version__ = "0.2.0"
