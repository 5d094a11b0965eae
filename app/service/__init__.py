"""What a server consists of around the application: its home, its sockets, its worker."""
