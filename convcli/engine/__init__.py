"""From a plan to feature maps: the planner, the strips, the methods and the backends."""
