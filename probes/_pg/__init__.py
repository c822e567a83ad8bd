"""PostgreSQL: sessions, errors, and how a connection is made."""
