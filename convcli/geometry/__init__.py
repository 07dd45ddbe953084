"""Sizes and positions in integers: axes, padding, borders, conventions of other libraries."""
