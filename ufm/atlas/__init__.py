"""Every kind of critical point, its copies, Morse relations."""
