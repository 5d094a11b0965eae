"""How a model comes to answer for what it forgot: the null unit, `push`, and the guard."""
