"""Data sets by name: found where they are kept, checked, and read into memory.

No network is known here.
"""
