"""Weights of trained layers, one module for each file format."""
