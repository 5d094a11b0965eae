"""The core: train a classifier, make it forget, measure that it forgot; torch and numpy alone.

Read in this order. Learning: `data`, `partition`, `sample_partition`, `architectures`, `training`; for tasks `growing`,
`synaptic_intelligence`, `continual`; in shards `sisa`. Forgetting by editing: `importance`, `weight_choice`, `editing`; by
every other means `methods`. Refusing: `refusal`, `collapse`, and from outside the classifier `guard`, `guard_fitting`.
`forgetting` joins these, `verification` measures before and after, and `gate` says whether there is a result.

What may be claimed of a result: `metrics`, `attacks` and `measuring` say what can still be found, `verifying` holds that
against retrained models. `comparing` sets methods side by side.
"""
