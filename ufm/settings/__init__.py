"""What a user can ask for: a frozen dataclass per command, checked on construction, without torch (help is fast)."""
