"""Neural collapse while a network trains: a plain loop, Lightning, Hugging Face, ignite; imported when asked for."""
