"""What can be asked for: architectures, learning, training, refusing, forgetting by every method, as frozen dataclasses.

The wire contract validates them and publishes them as JSON Schema, the service stores them and refuses or chooses by
them before a job runs, and the core computes with them. They need the standard library and `annotated_types` only.
"""
