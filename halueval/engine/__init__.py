"""How requests become few, full forward passes."""
