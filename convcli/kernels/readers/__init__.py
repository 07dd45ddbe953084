"""Kernel files: one module for each form."""
