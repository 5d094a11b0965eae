"""The core: train a classifier, make it forget, measure that it forgot; torch and numpy alone.

Read in this order. `data`, `partition` and `sample_partition` say what is learned, what goes and what stays; `learning`
fits networks, all at once, task by task or in shards. `case` holds what every method works on, `methods` makes the
weights, `refusing` lets a null unit or a guard answer for what is gone. `forgetting` joins these; `judging` measures
before and after, decides whether there is a result (`gate`), and says what may be claimed of it (`verifying`).
`comparing` sets methods side by side.
"""
