"""Checkpoints behind a URL: ``openai:MODEL@URL`` and ``completions:MODEL@URL``."""
