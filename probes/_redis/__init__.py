"""Redis: sessions and what INFO tells."""
