"""Long work that survives `kill -9`: a leased job table, a supervising worker, attempts in processes of their own."""
