"""Whole networks: their graph, receptive fields, a table of their nodes, and their feature maps."""
