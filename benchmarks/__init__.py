"""Measurements of the product, study by study: `python -m benchmarks` lists them."""
