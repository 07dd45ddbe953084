"""The report about a feature map, as JSON, CSV and text."""
