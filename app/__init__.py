"""Forgettery: train classifiers, make them forget on request, and keep the evidence."""

__version__ = "0.1.0"
