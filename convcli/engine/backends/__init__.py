"""Ways of executing a plan: where its strips are computed, and in which order."""
