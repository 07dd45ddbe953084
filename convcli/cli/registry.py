"""The commands: one line each. A command is the click command ``NAME`` in the module ``convcli.cli.NAME``."""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "apply": "Filter images with one or more kernels.",
    "batch": "Filter many images; failures are reported and skipped.",
    "piece": "Run a share of a job, as batch systems start many of them.",
    "explain": "Show how one pixel of a feature map is computed, step by step.",
    "explore": "Make an interactive web page: the kernel slides over an image.",
    "animate": "Make an animation: the kernel slides over an image or numbers.",
    "compare": "Compare two images, or the images of two folders.",
    "view": "Show images in the terminal.",
    "shape": "Compute the shape of a feature map, without reading pixels.",
    "plan": "Show how a feature map would be computed, and why.",
    "kernels": "List, show, preview, export, separate and fit kernels.",
    "completion": "Print the completion script for bash, zsh or fish.",
}
"""Each command with its one-line summary: help, man page and completion follow, importing no command."""
