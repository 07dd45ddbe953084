"""The Python functions for images: from any kind of image to feature maps, explanations and drawings."""
