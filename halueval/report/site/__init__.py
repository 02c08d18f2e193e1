"""The static site of `halueval leaderboard --html`: pages that open from a file, need no network and no build."""
