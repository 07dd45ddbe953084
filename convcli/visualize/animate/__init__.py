"""A kernel sliding over an image, as an animation."""
