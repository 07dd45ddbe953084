"""Convolutions of arrays in memory: their arguments, layouts, plans and results."""
