"""Strict YAML: text with places becomes typed values, and back.

Nothing here knows a network.
"""
