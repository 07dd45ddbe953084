"""Chains: stages that follow a convolution, computed strip by strip without a full-size map in between."""
