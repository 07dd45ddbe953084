"""What writes the generated files: the man page, completions, docs/kernels.md and the lesson."""
