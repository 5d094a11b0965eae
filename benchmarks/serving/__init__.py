"""What who asks a server sees."""
