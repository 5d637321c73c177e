"""archcost: what a network costs, where the cost sits, and what it takes on the target device."""

__version__ = "0.1.0"
