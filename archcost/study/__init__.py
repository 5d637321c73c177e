"""A study: a search that trains. Its plan, what it would take, the search itself, and the confirmation of its front."""
