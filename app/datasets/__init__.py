"""The data sets: which there are, where their files are found, and how they are read, split and cached."""
