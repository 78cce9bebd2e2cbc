"""The leaderboard: generators trained on the same splits, each in a process of its own, and measured alike."""
