"""The core: train a classifier, make it forget, measure that it forgot; torch and numpy alone.

Read in this order. What the service does today: `data`, `partition`, `architectures`, `training`; for tasks `growing`,
`synaptic_intelligence`, `continual`; then `importance`, `weight_choice`, `editing`, `refusal`, `forgetting`,
`verification`, `gate`.

What it does as a library so far: `methods` and `sisa` forget by other means than editing, `guard` refuses from outside the
classifier; `metrics`, `closeness`, `features`, `attacks`, `membership` and `relearning` measure a result against retrained
models, and `deep_verification` judges it.
"""
