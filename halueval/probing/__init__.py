"""What a model knows: facts asked with many prompts, classed by SliCK, and how far the classes can be trusted."""
