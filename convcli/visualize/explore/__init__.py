"""One self-contained page on which a kernel slides over an image."""
