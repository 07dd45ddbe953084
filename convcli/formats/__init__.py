"""Image formats: one module each, recognized by content, chosen by suffix."""
