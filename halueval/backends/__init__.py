"""Models behind one protocol: Hugging Face transformers, and a scripted double for tests."""
