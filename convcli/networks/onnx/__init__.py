"""Networks in ONNX files: how they are read, and what each operator does."""
