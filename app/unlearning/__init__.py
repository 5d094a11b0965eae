"""The core: train a classifier, make it forget classes, measure that it forgot; torch and numpy alone.

Read in this order: `data`, `partition`, `architectures`, `training`, `importance`, `editing`, `refusal`, `forgetting`,
`verification`, `gate`.
"""
