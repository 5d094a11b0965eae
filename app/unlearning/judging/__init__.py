"""What is measured of a model, what a request must hold, and what may be claimed of its result."""
