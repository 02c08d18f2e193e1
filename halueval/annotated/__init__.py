"""Sets of claims that people judged: what scorers are held against, described by a YAML file each."""
