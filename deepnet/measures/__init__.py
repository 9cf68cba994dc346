"""What is read off features and the last layer."""
