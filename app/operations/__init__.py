"""One file per verb of the product: pydantic in, pydantic out, inside the caller's transaction; no HTTP."""
