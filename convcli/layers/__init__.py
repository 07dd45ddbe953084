"""Layers as people type them: chains, code for other libraries, reports."""
