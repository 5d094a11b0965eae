"""Train, and publish what was computed."""
