"""How well a finished run's confidences are calibrated, and what repairs them."""
