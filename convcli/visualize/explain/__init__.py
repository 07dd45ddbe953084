"""One pixel of a feature map, step by step."""
