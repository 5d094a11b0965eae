"""SISA: a model of several networks, each of which learned rows of its own shard, slice by slice.

Forgetting samples retrains the shards that held them, from the last checkpoint before they came, and gives the bits that
training without them from the start gives (Bourtoule et al.: Machine Unlearning, IEEE S&P 2021, arXiv:1912.03817). Read
`shards`, `placement`, `ensemble`, `learning` in this order.
"""
