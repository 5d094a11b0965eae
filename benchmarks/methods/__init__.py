"""Every unlearning method beside the original and retrained models."""
