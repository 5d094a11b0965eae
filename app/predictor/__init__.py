"""The predictor: a process of its own that holds models, and the client that the API talks to it with."""
