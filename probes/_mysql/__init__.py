"""MySQL and MariaDB: sessions, errors, figures."""
