"""One image from file to file: settings, task, feature map, mapping, report."""
