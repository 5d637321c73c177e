"""The network of a study to take: how likely it keeps a budget, the choice, and its words."""
