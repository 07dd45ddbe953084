"""Kernels: values, named presets, parametric families, readers and writers of kernel files."""
