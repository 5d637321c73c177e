"""Counts made by others, fvcore and torch, which must equal archcost's own."""
