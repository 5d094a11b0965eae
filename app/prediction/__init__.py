"""From bytes to answer: codecs, the serving version, the process that holds models, and the client that asks it."""
