"""From run directories to one board: which runs count, what they say of each model, and how far that orders them."""
