"""What is decided about an image from its header: one step after the other, ending in a Task."""
