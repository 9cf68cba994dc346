"""Networks and their last layers."""
