"""TLS: contexts, handshakes and what they fail of, certificates and their chains."""
