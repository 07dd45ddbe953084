"""Tests of places: local paths and URLs."""
