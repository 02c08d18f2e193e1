"""What a person sees: tables."""
