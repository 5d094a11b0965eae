"""What can be asked for: architectures, learning, training, refusing, forgetting by every method, as frozen dataclasses.

Shared by the wire contract, which validates and publishes them as JSON Schema, by the service, which stores them and
refuses or chooses by them before a job runs, and by the core, which computes with them. Standard library and
`annotated_types` only.
"""
