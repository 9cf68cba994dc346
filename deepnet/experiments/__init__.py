"""What papers say about trained networks, one file each: the runs it takes, the statements, and how they are judged."""
