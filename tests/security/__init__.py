"""Who may do what: real servers with TLS, passwords and rights, as docs/security.md gives them."""
