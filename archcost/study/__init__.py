"""A study: a search that trains. Its plan, its preview, its run, and its front confirmed."""
