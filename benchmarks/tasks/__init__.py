"""The product, task by task: a part of the reproduction."""
