"""What is predicted: minimisers, certificates, windows, codes."""
