"""Networks in Keras files: how they are read, and what each layer does."""
