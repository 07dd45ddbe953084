"""Everything that is drawn: figures, sheets, explanations, animations, the explorer page."""
