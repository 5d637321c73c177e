"""Operators on tensors of other layouts: sparse ones by stored values, nested ones by rows."""
