"""Neural collapse of features that come from elsewhere: files of arrays, and other people's models."""
