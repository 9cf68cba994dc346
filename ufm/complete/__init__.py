"""Proofs that an atlas has every critical point."""
