"""Layers as typed on the command line: chains, code for other libraries, reports."""
