"""Inputs, outputs that appear complete or not at all, and what a run may not overwrite."""
